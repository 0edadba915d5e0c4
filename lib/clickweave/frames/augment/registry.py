"""Augment operators by name. A module gives `Params` (pydantic), `fit` and `apply`; it is imported on first use.

    fit(sources, params, log) -> frozen dataclass or None     the one place with an action (law 14)
    apply(sources, fitted, params, log, seed) -> DataFrame    new rows in canonical columns, with parent_id
    CHANGES_ITEM                                              whether item attributes must be joined anew
    CHANGES_USER                                              whether user attributes must; left out where not
    NEEDS_NEIGHBOURS                                          whether it reads sources.neighbours

`apply` keeps the columns of sources.train (frames/augment/copies.py); `source` is still the parent's and is rebuilt by
the stage. In a chain it rewrites the rows of the operator before.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol, cast

from clickweave.config.base import Section
from clickweave.config.variants import unknown_variant

OPERATORS = (
    "scale",
    "rotate",
    "feature_dropout",
    "mixup",
    "smote",
    "query_edit",
    "bootstrap",
    "crop",
    "mask",
    "reorder",
    "delete",
    "time_warp",
    "day_shift",
    "prefix_windows",
    "substitute",
    "insert",
    "negatives",
    "position_resample",
    "cold_entity_rows",
    "borrow_neighbour",
    "fractal_scale",
)


class Operator(Protocol):
    """What an operator's module offers."""

    Params: type[Section]
    CHANGES_ITEM: bool
    NEEDS_NEIGHBOURS: bool
    fit: Callable[..., Any]
    apply: Callable[..., Any]


def operator(name: str) -> Operator:
    """The module of an operator.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in OPERATORS:
        raise unknown_variant("augment operator", name, OPERATORS)
    return cast(Operator, import_module(f"clickweave.frames.augment.{name}"))


def params(name: str) -> type[Section]:
    """The parameters of an operator, for the recipe's loader."""
    return operator(name).Params
