"""Mix strategies by name. A module gives `Params` (pydantic), `fit` and `apply`; it is imported on first use.

    fit(sources, params, log) -> frozen dataclass or None     the one place with an action (law 14); for the manifest
    apply(sources, fitted, params, log, seed) -> DataFrame    the whole mix in canonical columns
    KEEPS_REAL                                                whether every real row is in it; without one it is
                                                              generated rows alone, which may be called shareable
    Params.check(log)                                         optional: raises ConfigError for what the log lacks

Real rows are never shuffled on the way (counts of them are, and what is joined to added rows), dropped or changed, and
their weight stays 1: what a strategy decides is which rows are added, and with what weight.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol, cast

from clickweave.config.base import Section
from clickweave.config.variants import unknown_variant

STRATEGIES = ("share", "concat", "balance", "cold_boost", "blend", "replace", "curriculum", "upweight")


class Strategy(Protocol):
    """What a strategy's module offers."""

    Params: type[Section]
    KEEPS_REAL: bool
    fit: Callable[..., Any]
    apply: Callable[..., Any]


def strategy(name: str) -> Strategy:
    """The module of a strategy.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in STRATEGIES:
        raise unknown_variant("mix strategy", name, STRATEGIES)
    return cast(Strategy, import_module(f"clickweave.frames.mix.{name}"))


def params(name: str) -> type[Section]:
    """The parameters of a strategy, for the recipe's loader."""
    return strategy(name).Params
