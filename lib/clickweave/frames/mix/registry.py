"""Mix strategies by name. A module gives `Params` (pydantic) and `choose`; it is imported on first use.

    choose(synthetic, params, num_real, num_synthetic, seed) -> the synthetic rows that join the mix

Real and augmented rows always join; a strategy decides about synthetic ones and may set their weight.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol, cast

from clickweave.config.base import Section
from clickweave.config.variants import unknown_variant

STRATEGIES = ("share", "concat")
PLANNED = ("balance", "cold_boost", "blend", "replace", "curriculum", "upweight")


class Strategy(Protocol):
    """What a strategy's module offers."""

    Params: type[Section]
    choose: Callable[..., Any]


def strategy(name: str) -> Strategy:
    """The module of a strategy.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in STRATEGIES:
        raise unknown_variant("mix strategy", name, STRATEGIES, PLANNED)
    return cast(Strategy, import_module(f"clickweave.frames.mix.{name}"))


def params(name: str) -> type[Section]:
    """The parameters of a strategy, for the recipe's loader."""
    return strategy(name).Params
