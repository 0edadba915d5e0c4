"""One small Spark session for all Spark tests, with the product's own settings; a task is tried four times."""

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from clickweave.config.stages import SparkConfig
from clickweave.jobkit.session import make_session


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    conf = {"spark.default.parallelism": 2, "spark.sql.ui.retainedExecutions": 10, "spark.buffer.pageSize": "1m"}
    config = SparkConfig(master="local[2,4]", driver_memory="3g", shuffle_partitions=4, conf=conf)
    session = make_session(config, "tests")
    session.sparkContext.setCheckpointDir(str(tmp_path_factory.mktemp("checkpoints")))
    yield session
    session.stop()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Frees what the tests of a folder have cached, so that those of all folders fit into one JVM."""
    session = SparkSession.getActiveSession()
    if session is not None and (nextitem is None or nextitem.path.parent != item.path.parent):
        session.catalog.clearCache()
