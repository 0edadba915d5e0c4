"""P3: can one tell who was in the training rows from what was generated? Unit: the user (entity).

Members are users of T, others are users of H, as many of each, at most MAX_USERS, drawn by hash; each gives its last
MAX_EVENTS events. Four attacks (attacks.py) score each of them by what S holds: the nearest generated history, the
n-grams of items that S repeats, the density of S over that of other real people, and rows that S repeats at any time.
The density's third set of people is `reference`, else the half of H that gives no others. Generated rows are counted
wholly, on Spark; of generated histories at most MAX_MADE are compared.

Attributes of users take no part: a re-enacted user (row generators) carries real ones by design, and P4 judges those.
Members are drawn from all users of T, so from those whose codes are re-enacted too. Blended rows stand under the ids of
real users in a mixed set that holds these users' rows: there is nothing to infer, and they are left out.

AUC and TPR at 1 % FPR (Carlini et al. 2022: an attack that is sure of few users is a leak that an average hides) are
the highest of all attacks, with intervals by bootstrap over users that hold together at 95 % (Bonferroni). An attack
beyond the gate is red where chance is excluded (chance.py), by exact or rank tests at CHANCE over all attacks: an
honest set is refused once in a hundred at most, and no leak hides in an interval that few users make wide.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clickweave.contracts.tables import DAY_US, GENERATED, feature_column
from clickweave.evaluation.gates import Row, judged, not_applicable
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.evaluation.privacy import attacks
from clickweave.evaluation.privacy.attacks import KINDS, Attacked, Counts
from clickweave.evaluation.privacy.chance import beyond_chance
from clickweave.evaluation.privacy.copies import entity_bootstrap
from clickweave.frames.align.privacy import compared_columns
from clickweave.frames.draws import unit_draw

AUC, TPR = "membership AUC", "membership TPR"
MAX_USERS = 1_000  # a side: 1 % of others are 10 users
MAX_MADE = 3_000
MAX_EVENTS = 100  # of a user, the last ones: at most 5,000 x 100 narrow rows on the driver
MIN_USERS = 30
CHANCE = 0.01  # a figure that chance gives less often, over all attacks, is none of chance
_SALT = "evaluate-members"


@dataclass(frozen=True)
class Targets:
    """Events of members (users 0 to n - 1) and others (n to 2n - 1)."""

    events: pd.DataFrame
    num_a_side: int

    @property
    def is_member_U(self) -> np.ndarray:
        return np.arange(2 * self.num_a_side) < self.num_a_side


def judge_membership(inputs: EvaluationInputs) -> tuple[list[Row], dict[str, Any]]:
    """P3's rows, and per attack its figures and at most 60 points of its ROC curve.

    Cost: a job for who is drawn and one for their events; one for the tokens of S, of the bootstrap copy and of the
    reference, a shuffle of each by entity and a broadcast of at most 10^6 tokens; one a sample of generated histories.
    """
    if inputs.schema.entity_column is None:
        return _none("the log has no users or sessions"), {}
    made = tokens(inputs.synthetic.where(F.col("origin") == GENERATED), inputs)
    train, holdout = tokens(inputs.train, inputs), tokens(inputs.holdout, inputs)
    reference, others = _reference(inputs, holdout)
    targets = draw_targets(train, others, inputs.config.seed)
    if targets.num_a_side < MIN_USERS:
        return _none(f"fewer than {MIN_USERS} users of T or of H"), {}
    sides = {"synthetic": made, "bootstrap": entity_bootstrap(train, inputs.config.seed), "reference": reference}
    counts = count_tokens(sides, targets.events)
    if not counts["synthetic"].totals:
        return _none("no synthetic rows"), {}
    found = {}
    for side in ("synthetic", "bootstrap"):
        histories = last_events(_some_users(sides[side], MAX_MADE, inputs.config.seed))
        scores = attack_scores(targets, histories, counts[side], counts["reference"])
        found[side] = attack_all(scores, targets.is_member_U, inputs.config.seed)
    detail = {name: asdict(figures) for name, figures in found["synthetic"].items()}
    return membership_rows(found, targets.num_a_side), {"users_a_side": targets.num_a_side, "attacks": detail}


def _none(reason: str) -> list[Row]:
    return [not_applicable(name, reason) for name in (AUC, TPR)]


def membership_rows(found: Mapping[str, Mapping[str, Attacked]], num_users: int) -> list[Row]:
    """P3's rows from the attacks of each side, `synthetic` and the control `bootstrap`."""
    rows = []
    for name, figure, chance in ((AUC, "auc", 0.5), (TPR, "tpr", attacks.chance_tpr(num_users))):
        scores = {
            side: max(_score(name, it, figure, len(each)) for it in each.values()) for side, each in found.items()
        }
        best, ours = max(found["synthetic"].items(), key=lambda pair: getattr(pair[1], figure))
        row = judged(
            name,
            scores["synthetic"],
            value=getattr(ours, figure),
            ceiling=chance,
            controls={"bootstrap": scores["bootstrap"]},
            interval=getattr(ours, f"{figure}_interval"),
            note=f"by {best}, {num_users} users a side; red above the gate where chance is excluded",
        )
        rows.append(row)
    return rows


def _score(name: str, attack: Attacked, figure: str, num_attacks: int) -> float:
    by_chance = getattr(attack, f"{figure}_chance") > CHANCE / num_attacks
    return beyond_chance(name, getattr(attack, figure), by_chance=by_chance)


def attack_scores(targets: Targets, histories: pd.DataFrame, made: Counts, reference: Counts) -> dict[str, np.ndarray]:
    """Attack -> a score per target; without times there are no n-grams."""
    events, num = targets.events, 2 * targets.num_a_side
    scores = {"nearest generated history": attacks.nearest_history(events, histories, num)}
    if events["gram2"].any():
        scores["repeated n-grams"] = attacks.contained(events, ("gram2", "gram3"), made, num)
    scores["density over reference"] = attacks.density_ratio(events, made, reference, num)
    scores["repeated rows, any time"] = attacks.contained(events, ("row",), made, num)
    return scores


def attack_all(scores: Mapping[str, np.ndarray], is_member_U: np.ndarray, seed: int) -> dict[str, Attacked]:
    """The figures of each attack, with intervals that hold together at 95 %."""
    alpha = 0.05 / len(scores)
    return {name: attacks.attacked(score_U, is_member_U, alpha=alpha, seed=seed) for name, score_U in scores.items()}


def tokens(rows: DataFrame, inputs: EvaluationInputs) -> DataFrame:
    """entity_id, time_us and the int64 tokens item, category, day and row of each event; 0 for none. Narrow but for a
    join with the items, which are one row per item.
    """
    schema = inputs.schema
    lacking = [field for field in inputs.train.schema.fields if field.name not in rows.columns]  # F8 reports these
    rows = rows.withColumns({field.name: F.lit(None).cast(field.dataType) for field in lacking})
    time = F.unix_micros("event_time") if schema.event_time is not None else F.lit(None).cast("long")
    plain = rows.where(F.col("entity_id").isNotNull())
    named = [name for name, spec in schema.item_features.items() if spec.kind == "categorical"]
    known = [name for name in named if inputs.items is not None and feature_column(name) in inputs.items.columns]
    if known and inputs.items is not None:
        side = inputs.items.select("item_id", F.col(feature_column(known[0])).alias("_category"))
        plain = plain.join(side, "item_id", "left")
    else:
        plain = plain.withColumn("_category", F.lit(None).cast("string"))
    item = F.coalesce("item_id", "query") if schema.item is not None else F.col("query")
    values = [part for value in compared_columns(schema, timed=False) for part in (value.isNull(), value)]
    return plain.select(
        "entity_id",
        time.alias("time_us"),
        _token(item, "item"),
        _token(F.col("_category"), "category"),
        _token(F.floor(time / F.lit(DAY_US)), "day"),
        F.xxhash64(*values).alias("row"),
    )


def _token(value: Column, name: str) -> Column:
    return F.when(value.isNotNull(), F.xxhash64(value.cast("string"))).otherwise(F.lit(0)).alias(name)


def with_runs(events: DataFrame, *group: str) -> DataFrame:
    """Events with pair, gram2 and gram3, 0 where an entity has no such run, and `place` from its last event on. One
    shuffle by entity; events of one time stand in the order of their items and rows.
    """
    order = Window.partitionBy(*group, "entity_id").orderBy("time_us", "item", "row")
    last = Window.partitionBy(*group, "entity_id").orderBy(F.desc("time_us"), F.desc("item"), F.desc("row"))

    def run(name: str, steps: int) -> Column:
        parts = [F.lag(name, step).over(order) for step in range(steps, 0, -1)] + [F.col(name)]
        whole = reduce(Column.__and__, [part.isNotNull() & (part != 0) for part in parts])
        return F.when(whole & F.col("time_us").isNotNull(), F.xxhash64(*parts)).otherwise(F.lit(0))

    runs = {"pair": run("category", 1), "gram2": run("item", 1), "gram3": run("item", 2)}
    return events.withColumns(runs | {"place": F.row_number().over(last)})


def last_events(events: DataFrame) -> pd.DataFrame:
    """The last MAX_EVENTS events of each entity on the driver, as attacks.py takes them; `user` by entity_id."""
    kept = with_runs(events).where(F.col("place") <= MAX_EVENTS)
    frame = kept.select("entity_id", "category", "day", *KINDS).toArrow().to_pandas()
    return frame.assign(user=np.unique(frame["entity_id"].astype(str), return_inverse=True)[1])


def _some_users(events: DataFrame, limit: int, seed: int) -> DataFrame:
    """The events of the `limit` entities with the smallest hash."""
    draw = unit_draw("entity_id", salt=_SALT, seed=seed)
    drawn = events.select("entity_id").distinct().orderBy(draw, "entity_id").limit(limit)
    return events.join(F.broadcast(drawn), "entity_id", "left_semi")


def _reference(inputs: EvaluationInputs, holdout: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Events of the third set of people, and of those that may be others."""
    if inputs.reference is not None and not inputs.reference.isEmpty():
        return tokens(inputs.reference, inputs), holdout
    half = unit_draw("entity_id", salt=f"{_SALT} half", seed=inputs.config.seed) < 0.5
    return holdout.where(half), holdout.where(~half)


def draw_targets(train: DataFrame, holdout: DataFrame, seed: int) -> Targets:
    """Members and others, as many of each."""
    sides = [last_events(_some_users(events, MAX_USERS, seed)) for events in (train, holdout)]
    size = min(frame["user"].nunique() for frame in sides)
    parts = []
    for side, frame in enumerate(sides):
        places = np.random.default_rng([seed, side]).permutation(frame["user"].nunique())[frame["user"]]
        parts.append(frame.assign(user=places + side * size)[places < size])
    return Targets(pd.concat(parts, ignore_index=True).drop(columns="entity_id"), size)


def count_tokens(sides: Mapping[str, DataFrame], targets: pd.DataFrame) -> dict[str, Counts]:
    """By side how often its events hold the targets' tokens, and how many tokens it has. One job."""
    spark = next(iter(sides.values())).sparkSession
    wanted = [
        pd.DataFrame({"kind": place, "token": pd.unique(targets[kind])}).query("token != 0")
        for place, kind in enumerate(KINDS)
    ]
    table = pa.Table.from_pandas(pd.concat(wanted), preserve_index=False)
    known = spark.createDataFrame(table).withColumn("known", F.col("token"))
    everyone = reduce(DataFrame.unionByName, [df.withColumn("side", F.lit(side)) for side, df in sides.items()])
    held = with_runs(everyone, "side").select("side", F.posexplode(F.array(*KINDS)).alias("kind", "token"))
    joined = held.where(F.col("token") != 0).join(F.broadcast(known), ["kind", "token"], "left")
    groups = "side", "kind", F.coalesce("known", F.lit(0)).alias("known")  # null would make pandas round the tokens
    frame = joined.groupBy(*groups).count().toArrow().to_pandas()
    return {side: _counts(frame[frame["side"] == side]) for side in sides}


def _counts(frame: pd.DataFrame) -> Counts:
    by_kind = {kind: frame[frame["kind"] == place] for place, kind in enumerate(KINDS)}
    by_kind = {kind: rows for kind, rows in by_kind.items() if len(rows)}
    held = {kind: rows[rows["known"] != 0] for kind, rows in by_kind.items()}
    series = {kind: pd.Series(rows["count"].to_numpy(), rows["known"]) for kind, rows in held.items()}
    return Counts(series, {kind: int(rows["count"].sum()) for kind, rows in by_kind.items()})
