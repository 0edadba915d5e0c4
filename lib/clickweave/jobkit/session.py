"""The one place where the Spark session is made (law 13)."""

import os
import sys
from importlib.resources import as_file, files

from pyspark.sql import SparkSession

from clickweave.config.stages import SparkConfig

_ALWAYS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.codegen.hugeMethodLimit": "8000",  # bytes; the JVM leaves larger methods uncompiled, which takes longer
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.speculation": "false",
    "spark.ui.showConsoleProgress": "false",
}
_LOCAL = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}


def make_session(config: SparkConfig, name: str) -> SparkSession:
    """The session of this process. What spark-submit was told about master and memory stays."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    settings = dict(_ALWAYS) | {"spark.sql.shuffle.partitions": str(config.shuffle_partitions)}
    if not submitted:
        master = config.master or "local[*]"
        settings |= {"spark.master": master, "spark.driver.memory": config.driver_memory}
        settings |= _LOCAL if master.startswith("local") else {}
    settings |= {key: str(value) for key, value in config.conf.items()}
    builder = SparkSession.builder.appName(f"clickweave {name}")
    with as_file(files("clickweave.jobkit") / "log4j2.properties") as quiet:
        if not submitted:
            settings.setdefault("spark.driver.extraJavaOptions", f"-Dlog4j2.configurationFile=file:{quiet}")
        for key, value in settings.items():
            builder = builder.config(key, value)
        session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session
