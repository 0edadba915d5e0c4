"""Operators in order: each rewrites the rows of the one before, and `source` is rebuilt once at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from clickweave.config.log import SchemaConfig
from clickweave.frames.augment.copies import Sources
from clickweave.frames.augment.registry import operator

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType


def chain_name(chain: Sequence[BaseModel]) -> str:
    """`crop`, or `crop+scale` for two."""
    return "+".join(params.model_dump()["name"] for params in chain)


def needs_neighbours(chain: Sequence[BaseModel]) -> bool:
    """Whether one of its operators reads similar items."""
    return any(operator(chain_name([params])).NEEDS_NEIGHBOURS for params in chain)


def rewritten(
    sources: Sources, chain: Sequence[BaseModel], log: SchemaConfig, raw_type: StructType, seed: int
) -> tuple[DataFrame, list[Any]]:
    """The rows that come out of a chain, with the raw row in `source`, and what each operator was fitted to: real/train
    for all of them.

    Args:
        raw_type: the raw log's columns, order and types.
    """
    from clickweave.frames import catalogue
    from clickweave.frames.source_rows import with_lean_source, with_source

    sources = replace(sources, train=with_lean_source(sources.train, log, raw_type))
    made, found, changes_item = sources.train, [], False
    for params in chain:
        chosen = operator(chain_name([params]))
        fitted = chosen.fit(sources, params, log)
        made = chosen.apply(replace(sources, train=made), fitted, params, log, seed)
        found.append(fitted)
        changes_item |= chosen.CHANGES_ITEM
    items, _ = catalogue.sides(log)
    attributes = catalogue.raw_attributes(items, raw_type) if changes_item else {}
    if attributes and sources.items is not None:
        made = catalogue.join_attributes(made, sources.items, items)
    return with_source(made, log, raw_type, attributes=attributes), found
