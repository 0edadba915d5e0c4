"""A toy log in canonical columns: users have tastes, items have genres, times come in bursts, position matters."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.config.stages import EvaluateConfig
from clickweave.evaluation.inputs import EvaluationInputs

GENRES = ("drama", "comedy", "war", "<script>alert(1)</script>")
NUM_ITEMS = 120

SCHEMA = SchemaConfig.model_validate(
    {
        "event_time": {"column": "ts", "unit": "s"},
        "user": "user",
        "item": "item",
        "slate": "slate",
        "position": "place",
        "labels": {"click": {"column": "stars", "at_least": 4}},
        "features": {"stars": "numeric", "device": "categorical", "empty": "numeric", "same": "categorical"},
        "item_features": {"genre": "categorical"},
        "user_features": {"taste": "categorical"},
    }
)
_TYPES = """row_id long, entity_id string, user_id string, session_id string, slate_id string, item_id string,
    query string, position long, propensity double, ts long, label long, feature_stars double,
    feature_device string, feature_empty double, feature_same string, genre string, origin string"""


def toy_events(num_users: int, seed: int, prefix: str, origin: str = "real", per_user: int = 20) -> pd.DataFrame:
    """`num_users` x `per_user` events; a taste likes its genre, the first positions are liked more."""
    rng = np.random.default_rng(seed)
    rows = num_users * per_user
    user = np.repeat(np.arange(num_users), per_user)
    taste = rng.integers(0, 4, num_users)[user]
    popular = (rng.random(rows) ** 2 * (NUM_ITEMS // 4)).astype(int) * 4
    item = popular + np.where(rng.random(rows) < 0.7, taste, rng.integers(0, 4, rows))
    position = rng.integers(1, 5, rows)
    liked = rng.random(rows) < 0.25 + 0.45 * (item % 4 == taste) - 0.05 * position
    start = rng.integers(0, 30 * 86_400, num_users)[user]
    number = np.arange(rows)
    ids = np.array([f"{prefix}{one}" for one in user])
    return pd.DataFrame(
        {
            "row_id": number + seed * 1_000_000,
            "entity_id": ids,
            "user_id": ids,
            "session_id": [f"{one}-s" for one in ids],
            "slate_id": [f"{prefix}{one}-p" for one in number],
            "item_id": item.astype(str),
            "query": None,
            "position": position,
            "propensity": np.nan,
            "ts": 1_600_000_000 + start + rng.integers(0, 7_200, rows),
            "label": liked.astype(int),
            "feature_stars": np.where(liked, rng.integers(4, 6, rows), rng.integers(1, 4, rows)).astype(float),
            "feature_device": np.where(taste < 2, "phone", "desk"),
            "feature_empty": np.nan,
            "feature_same": "x",
            "genre": [GENRES[one % 4] for one in item],
            "origin": origin,
            "taste": [f"t{one}" for one in taste],
        }
    )


@pytest.fixture(scope="session")
def to_table(spark: SparkSession) -> Callable[[pd.DataFrame], DataFrame]:
    """Canonical table of toy events, whatever was done to them in pandas."""

    def build(events: pd.DataFrame) -> DataFrame:
        names = [part.split()[0] for part in _TYPES.split(",")]
        told = events if "op" in events else events.assign(op="toy")
        plain = told[[*names, "op"]].astype(object)
        rows = plain.where(plain.notna(), None).to_numpy().tolist()
        df = spark.createDataFrame(rows, f"{_TYPES}, op string").coalesce(2)
        source = F.struct("genre", "item_id").alias("source")
        nulls = {name: F.lit(None).cast(kind) for name, kind in (("parent_id", "long"),)}
        keys = names[: names.index("ts")]
        features = [name for name in names if name.startswith("feature_")]
        return df.select(
            *keys,
            F.timestamp_seconds("ts").alias("event_time"),
            "label",
            *features,
            source,
            "origin",
            "op",
            nulls["parent_id"].alias("parent_id"),
            F.lit(1.0).alias("weight"),
            F.lit("run").alias("run_id"),
        ).cache()

    return build


@pytest.fixture(scope="session")
def toy() -> Callable[..., pd.DataFrame]:
    return toy_events


@pytest.fixture(scope="session")
def make_inputs(spark: SparkSession, to_table: Callable[[pd.DataFrame], DataFrame]) -> Callable[..., EvaluationInputs]:
    """Inputs from pandas frames; `train` and `holdout` default to two samples of the toy law."""
    train, holdout = toy_events(120, 1, "u"), toy_events(100, 2, "h")
    real_tables = {id(train): to_table(train), id(holdout): to_table(holdout)}

    def build(synthetic: pd.DataFrame | None = None, **changes: Any) -> EvaluationInputs:
        real = changes.pop("train", train)
        other = changes.pop("holdout", holdout)
        made = train.head(0) if synthetic is None else synthetic
        everybody = pd.concat([real, other, made]).drop_duplicates("user_id")
        users = spark.createDataFrame(
            everybody[["user_id", "taste"]].to_numpy().tolist(), "user_id string, feature_taste string"
        )
        items = spark.createDataFrame(
            [(str(one), GENRES[one % 4]) for one in range(NUM_ITEMS)], "item_id string, feature_genre string"
        )
        t, s = real_tables.get(id(real)) or to_table(real), to_table(made)
        config = changes.pop("config", EvaluateConfig(utility_seeds=1, utility="off"))
        base = {"schema": SCHEMA, "mixed": t.unionByName(s), "items": items, "users": users, "config": config}
        return EvaluationInputs(
            train=t, holdout=real_tables.get(id(other)) or to_table(other), synthetic=s, **{**base, **changes}
        )

    return build


@pytest.fixture(scope="session")
def fresh() -> pd.DataFrame:
    """A perfect generator: new users of the same law."""
    rows = toy_events(120, 3, "syn-", origin="generated")
    seen = toy_events(120, 1, "u")["ts"]
    return rows.assign(ts=rows["ts"].clip(seen.min(), seen.max()))


@pytest.fixture(scope="session")
def copied() -> pd.DataFrame:
    """The worst one: real rows under new names."""
    rows = toy_events(120, 1, "u").assign(origin="generated")
    named = {name: "syn-" + rows[name] for name in ("entity_id", "user_id", "session_id", "slate_id")}
    return rows.assign(row_id=rows["row_id"] + 7_000_000, **named)
