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
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructType


def chain_name(chain: Sequence[BaseModel]) -> str:
    """`crop`, or `crop+scale` for two."""
    return "+".join(params.model_dump()["name"] for params in chain)


def needs_neighbours(chain: Sequence[BaseModel]) -> bool:
    """Whether one of its operators reads similar items; parameters may say that theirs does not."""
    return any(
        operator(chain_name([params])).NEEDS_NEIGHBOURS and getattr(params, "needs_neighbours", True)
        for params in chain
    )


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
    made, found, changes_item, changes_user = sources.train, [], False, False
    for params in chain:
        chosen = operator(chain_name([params]))
        fitted = chosen.fit(sources, params, log)
        made = chosen.apply(replace(sources, train=made), fitted, params, log, seed)
        found.append(fitted)
        changes_item |= chosen.CHANGES_ITEM
        changes_user |= getattr(chosen, "CHANGES_USER", False)
    items, people = catalogue.sides(log)
    attributes: dict[str, Column] = {}
    for side, table, changes in ((items, sources.items, changes_item), (people, sources.users, changes_user)):
        carried = catalogue.raw_attributes(side, raw_type) if changes else {}
        if carried and table is not None:
            made = catalogue.join_attributes(made, table, side)
            attributes |= carried
    return with_source(made, log, raw_type, attributes=attributes), found
