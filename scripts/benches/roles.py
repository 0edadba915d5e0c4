"""A made-up log with every role that augment operators know, in any number of events."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from clickweave.config.log import SchemaConfig

SCHEMA = {
    "user": "user", "item": "item", "event_time": {"column": "ts", "unit": "s"}, "slate": "page", "position": "pos",
    "query": "q", "labels": {"click": "click"}, "item_features": {"category": "categorical"},
    "features": {"price": "numeric", "stock": "numeric", "device": "categorical", "taste": "vector"},
}  # fmt: skip
LOG = SchemaConfig.model_validate(SCHEMA)
SLATE = 5  # events of a slate
EVENTS_PER_USER = 40
START = 1_700_000_000
DAYS = 30
PART_EVENTS = 100_000


def write_log(folder: Path, events: int, factor: float) -> Path:
    """Writes events.parquet, and a recipe that blows it up; the path of the recipe."""
    folder.mkdir(parents=True)
    pq.write_table(log_table(events, items=events // EVENTS_PER_USER // 2), folder / "events.parquet")
    recipe = {
        "split": {"holdout_share": 0, "reference_share": 0},
        "augment": {"operators": [{"name": "fractal_scale", "factor": float(factor)}]},
    }
    return write_recipe(folder, "events.parquet", recipe)


def write_parts(folder: Path, events: int, hot_share: float, **sections: Any) -> Path:
    """Writes a log in files of PART_EVENTS, each with users of its own, over the same items; the path of its recipe."""
    (folder / "events").mkdir(parents=True)
    for part, start in enumerate(range(0, events, PART_EVENTS)):
        num = min(PART_EVENTS, events - start)
        table = log_table(num, items=events // EVENTS_PER_USER // 2, part=part, hot_share=hot_share)
        pq.write_table(table, folder / f"events/{part}.parquet")
    return write_recipe(folder, "events", sections)


def write_recipe(folder: Path, events: str, sections: dict[str, Any]) -> Path:
    """A recipe for the log beside it."""
    recipe = {"dataset": "roles", "source": {"events": str(folder / events)}, "schema": SCHEMA}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe | {"ingest": {"duplicates": "keep"}} | sections))
    return path


def log_table(events: int, *, items: int, part: int = 0, hot_share: float = 0.0) -> pa.Table:
    """Users and items by Zipf's law; a slate holds SLATE events of one time and query; clicks fall with the position.

    Args:
        part: its users and slates are those of no other part.
        hot_share: of events whose item is item 0, whatever the law says.
    """
    rng = np.random.default_rng(part)
    slates = events // SLATE
    user = zipf(rng, max(1, events // EVENTS_PER_USER), slates)
    rank = zipf(rng, max(SLATE, items), slates)
    at = START + rng.integers(0, DAYS * 86_400 // 600, slates) * 600 + rng.integers(0, 60, slates)
    place = np.tile(np.arange(SLATE), slates)
    item = (np.repeat(rank, SLATE) + place * 7) % max(SLATE * 7, items)
    columns = {
        "user": np.char.add(f"u{part}-" if part else "u", np.repeat(user, SLATE).astype(str)),
        "item": item,
        "ts": np.repeat(at, SLATE),
        "page": np.repeat(np.arange(slates), SLATE) + part * PART_EVENTS,
        "pos": place + 1,
        "q": np.char.add("red shoes ", np.repeat(rank % 500, SLATE).astype(str)),
        "click": (rng.random(len(item)) < 0.4 / (1 + place)).astype(int),
        "price": np.round(rng.lognormal(3, 1, len(item)), 2),
        "stock": rng.integers(0, 50, len(item)),
        "device": rng.choice(["mobile", "web", "app"], len(item)),
        "taste": list(rng.normal(size=(len(item), 8))),
    }
    columns["item"] = np.where(rng.random(len(item)) < hot_share, 0, item)
    return pa.table(columns | {"category": np.char.add("c", (columns["item"] % 40).astype(str))})


def zipf(rng: np.random.Generator, values: int, draws: int) -> np.ndarray:
    """Numbers from 0, the k-th with a probability in proportion to 1 / k [draws]."""
    weights = 1 / np.arange(1, values + 1)
    return rng.choice(values, draws, p=weights / weights.sum())
