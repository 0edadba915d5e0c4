"""prefix_windows: training views (history, next event) of users, drawn from all their events.

Every prefix of a sequence as a training example of its own is from Tan et al. 2016 ("Improved recurrent neural
networks for session-based recommendations"). Here views are drawn: how many a user gets, which event is the next
one and how much of the history before it is seen follow powers (a, b, c).
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
MOST_LOOKUPS = 10_000_000  # of a user's events in the user's views: seconds of one task


class Params(Section):
    """Parameters of `prefix_windows`."""

    name: Literal["prefix_windows"] = "prefix_windows"
    views_per_user: float = Field(0.5, ge=0, le=100, description="views per user with two events or more, on average")
    a: float = Field(0.0, ge=0, le=5, description="a user with n events gets views by (n - 1)^a; 0: all alike")
    b: float = Field(0.0, ge=0, le=5, description="the event at place t is the next one by t^b; 0: all alike")
    c: float = Field(0.0, ge=0, le=5, description="a history of l events is seen by l^c; 0: all lengths alike")
    max_len: int = Field(50, ge=1, le=1000, description="events in the longest history")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no sessions."""
        check_sessions(log, "prefix_windows")


@dataclass(frozen=True)
class ViewRate:
    """Views that a user with two events, thus n - 1 = 1, gets on average."""

    of_two_events: float


def fit(sources: Sources, params: Params, log: SchemaConfig) -> ViewRate:
    """The rate with which users get `views_per_user` views on average; one aggregate over counts per user."""
    from pyspark.sql import functions as F

    counts = sources.train.groupBy("entity_id").count().where("count >= 2")
    weight = F.sum(F.pow(F.col("count") - 1, F.lit(params.a)))
    row = counts.agg(F.count(F.lit(1)).alias("users"), weight.alias("weight")).first()
    if row is None or not row["users"]:
        return ViewRate(0.0)
    # nine digits, since the last ones of a sum depend on the order in which partitions are added
    return ViewRate(float(f"{params.views_per_user * row['users'] / row['weight']:.9g}"))


def apply(sources: Sources, fitted: ViewRate, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Views of users: at most max_len events in a row and the next one after them, each view a session of its own.

    A view may span sessions of the log, and its session holds them all. A user has at most 1000 views, with a > 0 no
    more than ten million by the number of events. One shuffle by entity, with a = 0 of those who have views only; a
    user of a million events is sorted by one task, on disk where memory ends, and each event is looked up in each of
    the user's views.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import session_copies

    users = Window.partitionBy("entity_id")
    numbered = sources.train.withColumns(
        {
            "_place": F.row_number().over(users.orderBy("event_time", "row_id")) - 1,
            "_n": F.count(F.lit(1)).over(users),
        }
    )
    viewed = numbered.withColumn("_m", _num_views(fitted, params.a, seed)).where("_n >= 2 and _m >= 1")
    views = F.filter(F.sequence(F.lit(0), F.col("_m") - 1), lambda view: _holds(view, params, seed))
    exploded = viewed.withColumn("_view", F.explode(views))
    # one session for the whole view, also where it spans several
    one = exploded.withColumn("session_id", F.col("entity_id") if log.user is not None else F.col("session_id"))
    return session_copies(one, log, f"prefix_windows {seed}", "_view").drop("_place", "_n", "_m", "_view")


def _num_views(fitted: ViewRate, a: float, seed: int) -> Column:
    """Views of a user: the expected number, with its fraction as a chance. Without `_n` for a = 0, so that the choice
    of users goes before the shuffle.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    if a > 0:
        most = F.least(F.lit(MOST_VIEWS), F.lit(MOST_LOOKUPS) / F.col("_n"))
        expected = F.least(F.lit(fitted.of_two_events) * F.pow(F.col("_n") - 1, F.lit(a)), most)
    else:
        expected = F.lit(min(fitted.of_two_events, float(MOST_VIEWS)))
    return F.floor(expected + unit_draw("entity_id", salt="prefix_windows count", seed=seed)).cast("int")


def _holds(view: Column, params: Params, seed: int) -> Column:
    """Whether the event at `_place` is in the user's view of that number. Places and lengths by inverse CDF."""
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    place = unit_draw("entity_id", view, salt="prefix_windows place", seed=seed)
    length = unit_draw("entity_id", view, salt="prefix_windows length", seed=seed)
    last = F.col("_n") - 1
    target = F.least(F.floor(F.pow(place, F.lit(1 / (params.b + 1))) * last) + 1, last)
    longest = F.least(target, F.lit(params.max_len))
    history = F.greatest(F.ceil(F.pow(length, F.lit(1 / (params.c + 1))) * longest), F.lit(1))
    return F.col("_place").between(target - history, target)
