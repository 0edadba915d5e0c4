"""A made-up log with every role that augment operators know, in any number of events."""

from pathlib import Path

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


def write_log(folder: Path, events: int, factor: float) -> Path:
    """Writes events.parquet, and a recipe that blows it up; the path of the recipe.

    Users and items follow Zipf's law, a slate holds SLATE events of one time and query, clicks fall with the position.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    slates = events // SLATE
    users = max(1, events // EVENTS_PER_USER)
    user = zipf(rng, users, slates)
    rank = zipf(rng, max(SLATE, users // 2), slates)
    at = START + rng.integers(0, DAYS * 86_400 // 600, slates) * 600 + rng.integers(0, 60, slates)
    place = np.tile(np.arange(SLATE), slates)
    item = (np.repeat(rank, SLATE) + place * 7) % max(SLATE * 7, users // 2)
    columns = {
        "user": np.char.add("u", np.repeat(user, SLATE).astype(str)),
        "item": item,
        "ts": np.repeat(at, SLATE),
        "page": np.repeat(np.arange(slates), SLATE),
        "pos": place + 1,
        "q": np.char.add("red shoes ", np.repeat(rank % 500, SLATE).astype(str)),
        "click": (rng.random(len(item)) < 0.4 / (1 + place)).astype(int),
        "price": np.round(rng.lognormal(3, 1, len(item)), 2),
        "stock": rng.integers(0, 50, len(item)),
        "device": rng.choice(["mobile", "web", "app"], len(item)),
        "taste": list(rng.normal(size=(len(item), 8))),
        "category": np.char.add("c", (item % 40).astype(str)),
    }
    pq.write_table(pa.table(columns), folder / "events.parquet")
    recipe = {
        "dataset": "roles",
        "source": {"events": str(folder / "events.parquet")},
        "schema": SCHEMA,
        "ingest": {"duplicates": "keep"},
        "split": {"holdout_share": 0, "reference_share": 0},
        "augment": {"operators": [{"name": "fractal_scale", "factor": float(factor)}]},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def zipf(rng: np.random.Generator, values: int, draws: int) -> np.ndarray:
    """Numbers from 0, the k-th with a probability in proportion to 1 / k [draws]."""
    weights = 1 / np.arange(1, values + 1)
    return rng.choice(values, draws, p=weights / weights.sum())
