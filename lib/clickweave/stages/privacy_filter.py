"""The privacy filter of align: values of few users, copies, near copies; decided on narrow rows, dropped at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.codec.spec import ENTITY, TEXT, CodecSpec
from clickweave.contracts.tables import REFERENCE, feature_column
from clickweave.frames.align import near_copies, privacy
from clickweave.frames.align.continued import is_targeted
from clickweave.frames.align.copies import drop_copied_runs
from clickweave.frames.augment.numbers import fit_ranges, free_features, numeric_features
from clickweave.stages.context import StageRun
from clickweave.stages.older_bundle import of_other_days


@dataclass(frozen=True)
class PrivacyFilter:
    """The filter of one run.

    Attributes:
        train, reference: real rows with attributes joined.
        hold: keeps a frame that several jobs read.
    """

    run: StageRun
    codec: CodecSpec
    train: DataFrame
    reference: DataFrame
    hold: Callable[[DataFrame], DataFrame]

    def filtered(self, events: DataFrame) -> tuple[DataFrame, dict[str, Any]]:
        """Generated events that the filter leaves, and its figures."""
        figures: dict[str, Any] = {}
        events, num, num_targeted = self._generalised(events, figures)
        if self.run.rows_of_part(REFERENCE) >= privacy.LEAST_REFERENCE:
            events, num = self._without_copies(events, (privacy.TIMED, privacy.PATTERN), num, num_targeted, figures)
            return self._without_near(events, num, figures), figures
        return self._without_any_copies(events, num, num_targeted, figures), figures

    def _generalised(self, events: DataFrame, figures: dict[str, Any]) -> tuple[DataFrame, int, int]:
        """Held events without values that few users of train have, how many, and how many that targets asked for.

        Texts put together from pieces were replaced before. The codec holds no value of few users, so only events of
        real users that go on, or of a codec of other days, can have any.
        """
        config, log = self.run.recipe.encode, self.run.recipe.log
        private: dict[str, DataFrame] = {}
        marks: list[str] = []
        has_key = F.lit(True)
        if of_other_days(self.run, self.codec) or self.run.manifest("sample").rows.get("continued"):
            done = {each.name for each in self.codec.parts if each.kind == TEXT}
            done |= {each.name for each in self.codec.derived}
            names = [feature_column(n) for n, kind in free_features(log).items() if kind in ("categorical", "text")]
            names = [name for name in (*names, *(["query"] if log.query is not None else [])) if name not in done]
            private = privacy.private_values(self.train, names, min_users=config.min_users)
            events, marks = privacy.without_private_values(events, private)
        if "query" in private:
            has_key = F.col("item_id").isNotNull() | F.col("query").isNotNull()
        events = self.hold(events)
        counts = F.count_if(has_key).alias("all"), F.count_if(has_key & is_targeted()).alias("targeted")
        row = events.agg(*counts, *[F.count_if(mark).alias(mark) for mark in marks]).collect()[0]
        if private:
            figures["private_values"] = {"before": sum(row[mark] for mark in marks), "after": 0}
        return events.where(has_key).drop(*marks), row["all"], row["targeted"]

    def _without_copies(
        self, events: DataFrame, names: tuple[str, ...], num: int, num_targeted: int, figures: dict[str, Any]
    ) -> tuple[DataFrame, int]:
        """Events without the excess of copies of these kinds, one after the other, and how many are left.

        Of a rare item that was asked for each event is like the one of somebody, apart from its time: patterns of
        those are let be.
        """
        log, num_real, reference = self.run.recipe.log, self.run.rows_of_part(REFERENCE), self.reference
        if num_real < privacy.LEAST_REFERENCE:
            num_real, reference = 0, reference.limit(0)
        kinds = [privacy.kind_of(name, log) for name in names]
        sides = {
            privacy.MADE: events.withColumn(privacy.TARGETED, is_targeted()),
            privacy.REAL_SIDE: reference.withColumn(privacy.TARGETED, F.lit(False)),
        }
        copies, gone = self.hold(privacy.copies_among(sides, self.train, kinds)), F.lit(False)
        for kind in kinds:
            exempt = F.col(privacy.TARGETED) if kind.owned else F.lit(False)
            held_to = {privacy.MADE: num - num_targeted * kind.owned, privacy.REAL_SIDE: num_real}
            excess = privacy.fit_excess(copies, kind, held_to, gone, exempt)
            figures[kind.name] = excess.figures
            gone = gone | (~exempt & privacy.drawn_copies(kind, excess, seed=self.run.recipe.align.seed))
        dropped = copies.where((F.col("side") == privacy.MADE) & gone)
        num_dropped = dropped.count()
        return privacy.without_rows(events, dropped, num_dropped), num - num_dropped

    def _without_any_copies(self, events: DataFrame, num: int, num_targeted: int, figures: dict[str, Any]) -> DataFrame:
        """Events without all exact copies: the rate of real ones is not known. Histories lost their runs before."""
        log = self.run.recipe.log
        timed = log.event_time is not None
        events, _ = self._without_copies(
            events, (privacy.TIMED if timed else privacy.PATTERN,), num, num_targeted, figures
        )
        figures["note"] = privacy.UNKNOWN_RATE
        self.run.progress(f"privacy filter: {privacy.UNKNOWN_RATE}")
        has_runs = self.codec.grain != ENTITY and timed and log.item is not None and log.entity_column is not None
        return drop_copied_runs(events, self.train) if has_runs else events

    def _without_near(self, events: DataFrame, num: int, figures: dict[str, Any]) -> DataFrame:
        log, made = self.run.recipe.log, {column.name for column in self.codec.columns}
        names = [name for name in numeric_features(log) if feature_column(name) in made]
        ranges = {name: span for name, span in fit_ranges(self.train, names).items() if span.sd > 0} if names else {}
        if not ranges:
            figures["near"] = {"note": "no numeric feature that varies"}
            return events
        kinds = {
            feature_column(name) for name, spec in log.event_features.items() if spec.kind in ("categorical", "id")
        }
        sides = {privacy.MADE: events, privacy.REAL_SIDE: self.reference}
        near = self.hold(near_copies.nearest(sides, self.train, ranges, ["item_id", "query", "label", *sorted(kinds)]))
        fitted = near_copies.fit_near(near, {privacy.MADE: num, privacy.REAL_SIDE: self.run.rows_of_part(REFERENCE)})
        figures["near"] = fitted.figures
        dropped = near_copies.drawn_near(near, fitted, seed=self.run.recipe.align.seed)
        return privacy.without_rows(events, dropped, fitted.excess.num_dropped)
