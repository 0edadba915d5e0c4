"""What operators are tested on, and the rows that one makes of it."""

import pytest
from augmented import rows_by
from mall import MALL, MALL_TYPE


@pytest.fixture
def mall_of(real_of):
    """rows -> real rows of the mall."""
    return lambda rows: real_of(rows, MALL_TYPE, MALL)


@pytest.fixture(scope="session")
def mall_table(mall):
    """The mall's rows on the driver."""
    return mall.toPandas()


@pytest.fixture(scope="session")
def crops(mall):
    """Nine tenths of each session of the mall, as copies."""
    return rows_by("crop", mall, MALL, share=1, keep_share=0.9).cache()


@pytest.fixture
def made_by():
    """name, real rows, log, parameters -> the rows that the operator makes of them."""
    return rows_by
