"""Recommenders by name. A module gives `Params` (pydantic) and `fit` (protocol.py); it is imported on first use."""

from importlib import import_module
from typing import cast

from clickweave.config.log import SchemaConfig
from clickweave.config.variants import unknown_variant
from clickweave.evaluation.recommenders.protocol import Recommender

RECOMMENDERS = ("popularity", "content", "als", "item_knn", "sequential_rules", "hybrid", "sasrec")
ORDERED = ("sequential_rules", "sasrec")  # learn from the order of events
SEEDLESS = ("popularity", "content", "item_knn", "sequential_rules")  # no seed, but of what long histories leave out


def recommender(name: str) -> Recommender:
    """The module of a recommender.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in RECOMMENDERS:
        raise unknown_variant("recommender", name, RECOMMENDERS)
    return cast(Recommender, import_module(f"clickweave.evaluation.recommenders.{name}"))


def fitting(schema: SchemaConfig) -> tuple[str, ...]:
    """Names of those that a log of this schema can train: content needs attributes of items, sequential_rules and
    sasrec times.

    None where the log has no items, or no users or sessions that could have a history.
    """
    if schema.item is None or schema.entity_column is None:
        return ()
    lacking = {"content": not schema.item_features} | dict.fromkeys(ORDERED, schema.event_time is None)
    return tuple(name for name in RECOMMENDERS if not lacking.get(name, False))
