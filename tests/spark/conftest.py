"""One small Spark session for all Spark tests, with the product's own settings; a task is tried four times."""

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from clickweave.config.stages import SparkConfig
from clickweave.jobkit.session import make_session


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    few_partitions = {"spark.default.parallelism": 2}
    session = make_session(SparkConfig(master="local[2,4]", shuffle_partitions=4, conf=few_partitions), "tests")
    yield session
    session.stop()
