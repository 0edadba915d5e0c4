"""P4: do generated rows hold what few people of T have? Counted on Spark over all rows.

A value is rare where 1 to k - 1 users of T have it (rows, where the log has no users or sessions): k-anonymity (Sweeney
2002) of what is generated. What no user of T has tells of nobody. Three figures, each the number of generated rows with
a rare value (a row counts once for each column), red where k = 5 finds any, amber where k = 10 does:

- rare values: a query, a categorical or text feature of an event, or attribute of a user. Texts that differ in case and
  white space alone are one. Ids, numbers and what follows from the row's item are no such values: an item is public.
- rare attribute pairs and tuples: two attributes of a user, or all together; numbers by tenth of T's users.

Single values block by default: encode takes those of few users out, so that one that comes back was carried around
that. Pairs and tuples are graded only. Sweeney's quasi-identifiers are a danger where the record is a person's; a
generator that draws each attribute on its own makes as many rare combinations, and other real people have them as
often: the holdout's count stands beside. Blended rows carry values and users of the real rows they stand beside; their
count is in the details.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import BLENDED, GENERATED, feature_column
from clickweave.evaluation.gates import Row, judged, not_applicable
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.frames.align.texts import same_text

VALUES, PAIRS, TUPLES = "rare values", "rare attribute pairs", "rare attribute tuples"
GRADED_ONLY = frozenset({PAIRS, TUPLES})  # rows that do not block by default
GATE_USERS, TARGET_USERS = 5, 10
TENTHS = [tenth / 10 for tenth in range(1, 10)]
SIDES = ("synthetic", "blended", "holdout", "train")


@dataclass(frozen=True)
class Part:
    """A value or a combination: `of` is `event` or `user`, `names` are columns, `kind` says which figure it is of."""

    kind: str
    of: str
    names: tuple[str, ...]

    @property
    def title(self) -> str:
        return ", ".join(("user " if self.of == "user" else "") + name.removeprefix("feature_") for name in self.names)


def judge_rare(inputs: EvaluationInputs) -> tuple[list[Row], dict[str, Any]]:
    """P4's rows, and per column (or combination) how many rows of each side hold rare values; never a value.

    Cost: one job, a shuffle of narrow hashed values of T by value and user and of the other sides by value; one to see
    which features follow from the item, and one for the tenths of numeric attributes, where there are any.
    """
    parts = [*event_parts(inputs), *user_parts(inputs)]
    if not parts:
        return [not_applicable(name, "the log has no such columns") for name in (VALUES, PAIRS, TUPLES)], {}
    counts, sizes = count_rare(inputs, parts)
    found = [_figures(part, counts.get(number, {})) for number, part in enumerate(parts)]
    rows = [_row(name, [each for each in found if each["kind"] == name], sizes) for name in (VALUES, PAIRS, TUPLES)]
    return rows, {"columns": found, "rows": sizes, "users": [GATE_USERS, TARGET_USERS]}


def _figures(part: Part, counts: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    held = {side: counts.get(side, (0, 0)) for side in SIDES}
    below = {f"below_{GATE_USERS}": 0, f"below_{TARGET_USERS}": 1}
    return {"kind": part.kind, "column": part.title} | {
        name: {side: rows[place] for side, rows in held.items()} for name, place in below.items()
    }


def _row(name: str, found: list[dict[str, Any]], sizes: Mapping[str, int]) -> Row:
    if not found:
        return not_applicable(name, "the log has no such columns")
    if not sizes["synthetic"]:
        return not_applicable(name, "no synthetic rows")
    strict, wide = (
        {side: sum(each[f"below_{users}"][side] for each in found) for side in SIDES}
        for users in (GATE_USERS, TARGET_USERS)
    )
    worst = max(found, key=lambda each: each[f"below_{TARGET_USERS}"]["synthetic"])
    note = f"{wide['synthetic']} of fewer than {TARGET_USERS} users"
    note += f"; most in {worst['column']}" if wide["synthetic"] else ""
    note += f"; {strict['holdout']} in {sizes['holdout']} real rows of other users" if sizes["holdout"] else ""
    ceiling = strict["holdout"] / sizes["holdout"] * sizes["synthetic"] if sizes["holdout"] else None
    bootstrap = strict["train"] / max(sizes["train"], 1) * sizes["synthetic"]
    row = judged(
        name, float(strict["synthetic"]), ceiling=ceiling, controls={"bootstrap": bootstrap}, note=note + _reason(name)
    )
    return replace(row, grade="amber") if row.grade == "green" and wide["synthetic"] else row


def _reason(name: str) -> str:
    return "; graded only, as chance makes rare combinations too" if name in GRADED_ONLY else ""


def event_parts(inputs: EvaluationInputs) -> list[Part]:
    """Single values of events. One job where there are items and features: those that follow from an item go."""
    schema = inputs.schema
    named = [
        feature_column(name) for name, spec in schema.event_features.items() if spec.kind in ("categorical", "text")
    ]
    named = [name for name in named if name in inputs.train.columns]
    if schema.item is not None and named:
        varies = [(F.min(name) != F.max(name)).alias(name) for name in named]
        by_item = inputs.train.where(F.col("item_id").isNotNull()).groupBy("item_id").agg(*varies)
        found = by_item.agg(*[F.max(name).alias(name) for name in named]).collect()[0]
        named = [name for name in named if found[name]]
    queries = ["query"] if schema.query is not None else []
    return [Part(VALUES, "event", (name,)) for name in [*queries, *named]]


def user_parts(inputs: EvaluationInputs) -> Iterator[Part]:
    """Single attributes of users, their pairs, and all of them where they are more than two."""
    if inputs.users is None:
        return
    specs = {feature_column(name): spec.kind for name, spec in inputs.schema.user_features.items()}
    known = {name: kind for name, kind in specs.items() if name in inputs.users.columns}
    yield from (Part(VALUES, "user", (name,)) for name, kind in known.items() if kind in ("categorical", "text"))
    combined = [name for name, kind in known.items() if kind in ("categorical", "text", "numeric")]
    yield from (Part(PAIRS, "user", pair) for pair in combinations(combined, 2))
    if len(combined) > 2:
        yield Part(TUPLES, "user", tuple(combined))


def count_rare(
    inputs: EvaluationInputs, parts: list[Part]
) -> tuple[dict[int, dict[str, tuple[int, int]]], dict[str, int]]:
    """By part and side, rows with a value of fewer than GATE_USERS and of fewer than TARGET_USERS; and rows by side."""
    tables = {
        "synthetic": inputs.synthetic.where(F.col("origin") == GENERATED),
        "blended": inputs.mixed.where(F.col("origin") == BLENDED),
        "holdout": inputs.holdout,
        "train": inputs.train,
    }
    users = _with_tenths(inputs) if any(part.of == "user" for part in parts) else None
    held = {side: _values(df, users, parts, inputs.schema) for side, df in tables.items()}
    backed = held["train"].groupBy("part", "key").agg(F.count_distinct("who").alias("users"))
    few = backed.where(F.col("users") < TARGET_USERS)
    everyone = reduce(DataFrame.unionByName, [df.withColumn("side", F.lit(side)) for side, df in held.items()])
    rows = everyone.groupBy("side", "part", "key").agg(F.sum("rows").alias("rows"))
    below = [F.sum(F.when(F.col("users") < most, F.col("rows"))) for most in (GATE_USERS, TARGET_USERS)]
    found = rows.join(few, ["part", "key"]).groupBy("part", "side").agg(*below).collect()
    counts: dict[int, dict[str, tuple[int, int]]] = {}
    for part, side, strict, wide in found:
        counts.setdefault(part, {})[side] = (int(strict or 0), int(wide or 0))
    return counts, {side: df.count() for side, df in tables.items()}


def _values(df: DataFrame, users: DataFrame | None, parts: list[Part], schema: SchemaConfig) -> DataFrame:
    """part, key (hash of the value), who has it and in how many rows; nulls are no values. Only the shuffle of users'
    rows to their attributes is wide.
    """
    of = {kind: [(number, part) for number, part in enumerate(parts) if part.of == kind] for kind in ("event", "user")}
    texts = {"query"} | {feature_column(name) for name, spec in schema.event_features.items() if spec.kind == "text"}
    found = [_exploded(df, "entity_id", F.lit(1), of["event"], texts)]
    if users is not None:
        texts = {feature_column(name) for name, spec in schema.user_features.items() if spec.kind == "text"}
        joined = df.groupBy("user_id").agg(F.count(F.lit(1)).alias("_rows")).join(users, "user_id")
        found.append(_exploded(joined, "user_id", F.col("_rows"), of["user"], texts))
    return reduce(DataFrame.unionByName, found)


def _exploded(df: DataFrame, who: str, rows: Column, parts: list[tuple[int, Part]], texts: set[str]) -> DataFrame:
    def key(part: Part) -> Column:
        values = [same_text(F.col(name)) if name in texts else F.col(name).cast("string") for name in part.names]
        whole = reduce(Column.__and__, [value.isNotNull() for value in values])
        return F.when(whole, F.xxhash64(*values))

    empty = F.array().cast("array<struct<part:int,key:bigint>>")
    pairs = [
        F.struct(
            F.lit(number).alias("part"), (key(part) if set(part.names) <= set(df.columns) else F.lit(None)).alias("key")
        )
        for number, part in parts
    ]
    exploded = df.select(F.col(who).alias("who"), rows.alias("rows"), F.explode(F.array(*pairs) if pairs else empty))
    return exploded.select("who", F.col("rows").cast("long").alias("rows"), "col.part", "col.key").where(
        "key is not null"
    )


def _with_tenths(inputs: EvaluationInputs) -> DataFrame | None:
    """The users with numeric attributes as the tenth of T's users they lie in. One job where there are any."""
    users = inputs.users
    if users is None:
        return None
    specs = {feature_column(name): spec.kind for name, spec in inputs.schema.user_features.items()}
    numeric = [name for name, kind in specs.items() if kind == "numeric" and name in users.columns]
    if not numeric:
        return users
    seen = users.join(inputs.train.select("user_id").distinct(), "user_id", "left_semi")
    cuts = seen.agg(*[F.percentile(name, F.array(*map(F.lit, TENTHS))).alias(name) for name in numeric]).collect()[0]
    tenths = {name: _tenth(F.col(name), cuts[name]) for name in numeric}
    return users.withColumns(tenths)


def _tenth(value: Column, cuts: list[float] | None) -> Column:
    above = [(value > F.lit(cut)).cast("int") for cut in cuts or []]
    return reduce(Column.__add__, above, F.when(value.isNotNull(), F.lit(0)))
