"""A seeded log with structure in every respect that a judge must see, and ways to spoil it; pandas alone.

Shoppers have tastes, hours and favourites they come back to; categories run in streaks; items are popular by Zipf's
law; sessions have bursts; the first positions are clicked more.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.config.stages import EvaluateConfig
from clickweave.contracts.tables import event_columns
from clickweave.evaluation.inputs import EvaluationInputs

NUM_CATEGORIES, ITEMS_EACH = 8, 25
FIRST_S, DAY_S = 1_700_006_400, 86_400  # midnight, UTC
SCHEMA = SchemaConfig.model_validate(
    {
        "event_time": {"column": "ts", "unit": "s"},
        "user": "user",
        "item": "item",
        "position": "place",
        "labels": {"click": "click"},
        "features": {"device": "categorical"},
        "item_features": {"category": "categorical"},
    }
)
_NUMBERS = {"row_id": pa.int64(), "position": pa.int64(), "label": pa.int64(), "time_s": pa.int64()}


def shoppers(num_users, seed, prefix):
    """One row per event, sorted by user and time: row_id, user_id, item_id, position, time_s, label, device."""
    rng = np.random.default_rng([seed, num_users])
    length = 4 + rng.poisson(4 + 14 * rng.random(num_users) ** 2)
    taste = rng.integers(0, NUM_CATEGORIES, num_users)
    peak = rng.normal(14 + 4 * (taste % 3 - 1), 2.5, num_users)
    in_category = 1 / np.arange(1, ITEMS_EACH + 1) ** 0.9
    in_category /= in_category.sum()
    most = length.max()
    item = np.zeros((num_users, most), dtype=np.int64)
    second = np.zeros((num_users, most), dtype=np.int64)
    everybody = np.arange(num_users)
    day = rng.integers(0, 10, num_users)
    for step in range(most):
        own = np.where(rng.random(num_users) < 0.6, taste, rng.integers(0, NUM_CATEGORIES, num_users))
        before = item[:, step - 1] // ITEMS_EACH
        streak = (rng.random(num_users) < 0.55) & (step > 0)
        category = np.where(streak, before, own)
        new = category * ITEMS_EACH + rng.choice(ITEMS_EACH, num_users, p=in_category)
        back = (rng.random(num_users) < 0.3) & (step > 1)
        old = item[everybody, (rng.random(num_users) * max(step, 1)).astype(int)]
        item[:, step] = np.where(back, old, new)
        visit = (rng.random(num_users) < 0.2) | (step == 0)
        day = day + np.where(visit & (step > 0), 1 + rng.poisson(1.5, num_users), 0)
        hour = np.clip(rng.normal(peak, 1.2), 0, 23.9)
        pause = 5 + rng.lognormal(3.5, 0.8, num_users)
        later = second[:, step - 1] + pause.astype(np.int64)
        second[:, step] = np.where(visit, FIRST_S + day * DAY_S + (hour * 3600).astype(np.int64), later)
    kept = np.arange(most) < length[:, None]
    user = np.repeat(everybody, length)
    item, second = item[kept], second[kept]
    position = 1 + rng.binomial(5, 0.35, len(item))
    clicked = rng.random(len(item)) < (0.15 + 0.3 * (item // ITEMS_EACH == taste[user])) * 1.6 / position**0.5
    device = np.where(rng.random(len(item)) < 0.2 + 0.6 * (taste[user] % 2), "phone", "desk")
    ids = np.char.add(prefix, user.astype(str))
    frame = pd.DataFrame(
        {
            "row_id": np.arange(len(item)) + seed * 10_000_000,
            "user_id": ids,
            "item_id": item.astype(str),
            "position": position,
            "time_s": second,
            "label": clicked.astype(np.int64),
            "device": device,
        }
    )
    return frame.sort_values(["user_id", "time_s", "row_id"], kind="stable").reset_index(drop=True)


def independent(frame, seed):
    """Every column permuted on its own: the marginals are exact and nothing else is right."""
    rng = np.random.default_rng(seed)
    return frame.assign(**{name: rng.permutation(frame[name].to_numpy()) for name in frame.columns if name != "row_id"})


def with_sessions(frame):
    """The frame with `session_id`, cut at pauses of 30 minutes."""
    ordered = frame.sort_values(["user_id", "time_s", "row_id"], kind="stable")
    starts = (ordered["time_s"].diff() > 1800) | (ordered["user_id"] != ordered["user_id"].shift())
    return ordered.assign(session_id=ordered["user_id"] + "-" + starts.cumsum().astype(str))


def to_table(spark, frame, origin):
    """The canonical event table of a frame."""
    texts = {name: pa.string() for name in ("user_id", "session_id", "item_id", "device")}
    full = with_sessions(frame)
    table = pa.table({name: pa.array(full[name], kind) for name, kind in (_NUMBERS | texts).items()})
    nothing = {"slate_id": "string", "query": "string", "propensity": "double", "parent_id": "long"}
    df = spark.createDataFrame(table).withColumns(
        {
            "entity_id": F.col("user_id"),
            "event_time": F.timestamp_seconds("time_s"),
            "feature_device": F.col("device"),
            "source": F.struct("item_id"),
            "origin": F.lit(origin),
            "op": F.lit("toy"),
            "weight": F.lit(1.0),
            "run_id": F.lit("run"),
            **{name: F.lit(None).cast(kind) for name, kind in nothing.items()},
        }
    )
    return df.select(*event_columns(("device",))).cache()


def catalogue(spark):
    """One row per item that exists."""
    items = range(NUM_CATEGORIES * ITEMS_EACH)
    columns = {
        "item_id": [str(item) for item in items],
        "feature_category": [f"c{item // ITEMS_EACH}" for item in items],
    }
    return spark.createDataFrame(pa.table(columns))


def make_inputs(spark, train, holdout, synthetic, **config):
    """Inputs of an evaluation from three frames."""
    real, made = to_table(spark, train, "real"), to_table(spark, synthetic, "generated")
    return EvaluationInputs(
        train=real,
        holdout=to_table(spark, holdout, "real"),
        synthetic=made,
        mixed=real.unionByName(made),
        items=catalogue(spark),
        users=None,
        schema=SCHEMA,
        config=EvaluateConfig(utility_seeds=1, **config),
    )
