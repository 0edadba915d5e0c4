"""What operators are tested on, and the rows that one makes of it."""

import pytest
from mall import MALL, MALL_TYPE

from clickweave.config.log import SchemaConfig
from clickweave.frames import catalogue
from clickweave.frames.augment.copies import Sources
from clickweave.frames.augment.registry import operator


@pytest.fixture
def mall_log() -> SchemaConfig:
    return MALL


@pytest.fixture
def mall_of(real_of):
    """rows -> real rows of the mall."""
    return lambda rows: real_of(rows, MALL_TYPE, MALL)


def sources_of(train, log) -> Sources:
    """What the stage gives to operators."""
    items, _ = catalogue.sides(log)
    return Sources(train, None if log.item is None else catalogue.from_events(train, items))


@pytest.fixture
def made_by():
    """name, real rows, log, parameters -> the rows that the operator makes of them."""

    def make(name, train, log, seed=0, **params):
        chosen = operator(name)
        checked = chosen.Params(name=name, **params)
        checked.check(log)
        sources = sources_of(train, log)
        return chosen.apply(sources, chosen.fit(sources, checked, log), checked, log, seed).select(*train.columns)

    return make
