"""prefix_windows: training views (history, next event) of a user, whose last event is the target.

Prefixes of sessions as training rows (Tan et al. 2016, section 3.1), drawn instead of listed: users by (n - 1)^a,
targets by t^b, lengths of the history by l^c, so that long histories, late targets or long windows can be favoured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.frames.augment.copies import Sources, check_sessions

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

CHANGES_ITEM = False  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False
MOST_VIEWS = 1000  # of one user


class Params(Section):
    """Parameters of `prefix_windows`."""

    name: Literal["prefix_windows"] = "prefix_windows"
    views_per_user: float = Field(0.5, ge=0, le=100, description="views, per user with at least two events")
    a: float = Field(0.0, ge=0, le=5, description="exponent of a user's events in the number of views; 0 is even")
    b: float = Field(0.0, ge=0, le=5, description="exponent of the target's place; 0 is even, more favours late ones")
    c: float = Field(0.0, ge=0, le=5, description="exponent of the history's length; 0 is even, more favours long ones")
    max_len: int = Field(50, ge=1, le=1000, description="events before the target, at most")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no times or no entity."""
        check_sessions(log, "prefix_windows")


@dataclass(frozen=True)
class Users:
    """Users with at least two events, and the sum of their (n - 1)^a."""

    num: int
    weight: float


def fit(sources: Sources, params: Params, log: SchemaConfig) -> Users:
    """Two sums over the users' numbers of events; one shuffle of counts by entity."""
    from pyspark.sql import functions as F

    counts = sources.train.groupBy("entity_id").agg(F.count(F.lit(1)).alias("n")).where("n >= 2")
    row = counts.agg(F.count(F.lit(1)).alias("num"), F.sum(F.pow(F.col("n") - 1, F.lit(params.a))).alias("weight"))
    found = row.collect()[0]
    return Users(found["num"], found["weight"] or 1.0)


def apply(sources: Sources, fitted: Users, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """About views_per_user views for each user with at least two events; none has two views of one number.

    A view is a session of its own: up to max_len consecutive events of the user, over sessions, and the target. One
    shuffle by entity; an event looks at all views of its user, at most MOST_VIEWS.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import session_copies
    from clickweave.frames.draws import unit_draw

    users = Window.partitionBy("entity_id")
    place = F.row_number().over(users.orderBy("event_time", "row_id")) - 1
    rows = sources.train.withColumns({"_place": place, "_n": F.count(F.lit(1)).over(users)}).where("_n >= 2")
    share = F.pow(F.col("_n") - 1, F.lit(params.a)) / F.lit(fitted.weight)
    expected = F.lit(params.views_per_user * fitted.num) * share
    extra = unit_draw("entity_id", salt="prefix_windows count", seed=seed) < expected - F.floor(expected)
    num = F.least(F.floor(expected) + extra.cast("int"), F.lit(MOST_VIEWS)).cast("int")
    rows = rows.withColumn("_num", num).where("_num > 0")

    def holds(view: Column) -> Column:
        target, length = _view(view, params, seed)
        return (F.col("_place") <= target) & (F.col("_place") >= target - length)

    views = F.filter(F.sequence(F.lit(1), F.col("_num")), holds)
    events = rows.withColumn("_view", F.explode(views)).withColumn("session_id", F.coalesce("session_id", F.lit("")))
    one_session = events.withColumn("session_id", F.min("session_id").over(Window.partitionBy("entity_id", "_view")))
    return session_copies(one_session, log, f"prefix_windows {seed}", "_view").select(*sources.train.columns)


def _view(view: Column, params: Params, seed: int) -> tuple[Column, Column]:
    """Place of the target, from 1, and events before it, of a view of the row's user: powers of uniform draws."""
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    def power_draw(most: Column, exponent: float, salt: str) -> Column:
        draw = unit_draw(F.col("entity_id"), view, salt=f"prefix_windows {salt}", seed=seed)
        return F.least(1 + F.floor(most * F.pow(draw, F.lit(1 / (exponent + 1)))), most).cast("int")

    target = power_draw((F.col("_n") - 1).cast("int"), params.b, "target")
    return target, power_draw(F.least(target, F.lit(params.max_len)), params.c, "length")
