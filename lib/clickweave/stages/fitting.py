"""The later steps of align: calibration, refinement and privacy filter, each with its figures before and after."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from clickweave.codec.spec import ENTITY, VALUES, CodecSpec
from clickweave.contracts.tables import REFERENCE, TRAIN, feature_column
from clickweave.frames.align import calibration, cells, label_rates, refine, weights
from clickweave.frames.align.continued import is_continued, is_targeted
from clickweave.frames.augment.numbers import free_features, numeric_features
from clickweave.frames.source_rows import label_from_thresholds, threshold_feature
from clickweave.stages.context import StageRun
from clickweave.stages.older_bundle import of_other_days
from clickweave.stages.privacy_filter import PrivacyFilter


@dataclass
class Fitting:
    """The steps over one generated table, and what they have to say.

    Attributes:
        train, reference: real rows with attributes joined.
        steps: name of a step -> its figures before and after.
        fitted: name of a step -> what it looked up in data.
    """

    run: StageRun
    codec: CodecSpec
    train: DataFrame
    reference: DataFrame
    steps: dict[str, Any] = field(default_factory=dict)
    fitted: dict[str, Any] = field(default_factory=dict)
    _held: list[DataFrame] = field(default_factory=list)

    def to_real(self, events: DataFrame) -> DataFrame:
        """Generated events (canonical columns and attributes) after all steps that the recipe asks for."""
        config = self.run.recipe.align
        asked = [config.calibrate_numbers, config.calibrate_labels, config.privacy_filter, config.weigh]
        if not any(asked) and not self._refines:
            return events
        if self._refines:
            events = self._compared(events)  # before it is held, where histories lie in order
        everything = self._hold(events)
        sums = F.count(F.lit(1)).alias("all"), F.count_if(is_targeted()).alias("targeted")
        counts = everything.agg(*sums).collect()[0]
        if not counts["all"]:
            return everything.drop(*cells.VIEWS)
        events = everything.where(~is_targeted())
        if counts["all"] > counts["targeted"]:
            events = self._calibrated(events, counts["all"] - counts["targeted"])
        if self.run.recipe.sample.targets:
            events = events.unionByName(everything.where(is_targeted()))
        events = events.drop(*cells.VIEWS)
        if config.privacy_filter:
            privacy = PrivacyFilter(self.run, self.codec, self.train, self.reference, self._hold)
            events, self.steps["privacy"] = privacy.filtered(events)
        return self._weighed(self._hold(events)) if config.weigh else events

    def _calibrated(self, events: DataFrame, num_events: int) -> DataFrame:
        """Events of a plain sample, as near to the log as can be; what targets asked for is meant to differ from it."""
        config = self.run.recipe.align
        if config.calibrate_numbers:
            events = self._with_numbers(events, num_events)
        if self._refines:
            events = self._refined(events)
            num_events = self.steps.get("refinement", {}).get("wanted", num_events)  # histories, where whole ones stay
        if config.calibrate_labels and label_rates.may_change(self.run.recipe.log):
            events = self._with_labels(events, num_events)  # last, since what refinement leaves out moves label rates
        return events

    def close(self) -> None:
        """Frees what steps kept on the disks of executors."""
        for frame in reversed(self._held):  # those that are made of others first
            frame.unpersist()

    def _hold(self, events: DataFrame) -> DataFrame:
        """Events that several jobs read, kept on disk until `close`."""
        self._held.append(events.persist(StorageLevel.DISK_ONLY))
        return self._held[-1]

    def _with_numbers(self, events: DataFrame, num_events: int) -> DataFrame:
        log, seed = self.run.recipe.log, self.run.recipe.align.seed
        columns = self._number_columns()
        if not columns:
            return events
        real = calibration.number_sample(self.train, columns, self.run.rows_of_part(TRAIN), seed=seed)
        made = calibration.number_sample(events, columns, num_events, seed=seed)
        of_entity = [column.name for column in self.codec.at_level(ENTITY)]
        maps = calibration.fit_numbers(real, made, of_entity=of_entity, min_rows=self.run.recipe.encode.min_users)
        events = calibration.with_numbers(events, maps, seed=seed)
        if log.thresholds and len(log.thresholds) == log.num_levels:
            events = events.withColumn("label", label_from_thresholds(log))
        after = calibration.number_sample(events, list(maps), num_events, seed=seed) if maps else {}
        self.fitted["numbers"] = {name: {"quantiles": each.real[::100]} for name, each in maps.items()}
        before = {name: round(calibration.distance(real[name], made[name]), 6) for name in columns}
        changed = {name: round(calibration.distance(real[name], values), 6) for name, values in after.items()}
        self.steps["numbers"] = {"before": before, "after": before | changed}
        return events

    def _number_columns(self) -> list[str]:
        """Numeric columns that the generator made and that may change."""
        log = self.run.recipe.log
        names = [feature_column(name) for name in numeric_features(log)] + ["propensity"]
        if len(log.thresholds) == log.num_levels:
            names += [threshold_feature(log, threshold) for threshold in log.thresholds.values()]
        made = {column.name for column in self.codec.columns}
        return [name for name in dict.fromkeys(names) if name in made]

    def _with_labels(self, events: DataFrame, num_events: int) -> DataFrame:
        config, log, whole = self.run.recipe.align, self.run.recipe.log, self.codec.grain == ENTITY
        segments = label_rates.segment_dimensions(log, whole=whole)
        dimensions = [label_rates.fit_positions(self.train), *self._surface(), *segments]
        per_row = 1.0 if whole else self.run.rows_of_part(TRAIN) / num_events
        train = label_rates.with_label_cells(self.train, log, whole=whole)
        events = label_rates.with_label_cells(events, log, whole=whole, per_row=per_row)
        real, made = (label_rates.count_levels(rows, dimensions, log.num_levels) for rows in (train, events))
        moves = label_rates.fit_labels(real, made, dimensions, most_share=config.max_moved_share)
        if moves is None:
            return events.drop(*label_rates.HELPERS)
        events = label_rates.with_labels(events, moves, seed=config.seed)
        again = label_rates.count_levels(events, dimensions, log.num_levels)
        self.fitted["labels"] = {"cells": [each.column for each in dimensions], "moves": len(moves.moves)}
        self.steps["labels"] = {
            "before": label_rates.label_errors(real, made, dimensions),
            "after": label_rates.label_errors(real, again, dimensions),
            "moved_share": moves.share,
            "wanted_share": moves.wanted_share,
        }
        return events.drop(*label_rates.HELPERS)

    def _surface(self) -> list[cells.Dimension]:
        """The first category of events that has few values, if there is one."""
        free = {
            feature_column(name) for name, kind in free_features(self.run.recipe.log).items() if kind == "categorical"
        }
        for column in self.codec.columns:
            if column.name in free and column.kind == VALUES and 0 < len(column.values) <= label_rates.MAX_SURFACES:
                return [cells.Dimension(column.name, values=column.values)]
        return []

    def _refined(self, events: DataFrame) -> DataFrame:
        seed, counted = self.run.recipe.align.seed, self.run.manifest("sample").rows
        if "wanted" not in counted:
            return events
        pool, train = events.where(~is_continued()), self._compared(self.train)
        layout = self._layout(train)
        wanted = counted["wanted"] - counted.get("continued", 0)
        unit = "entity_id" if self.codec.grain == ENTITY else "row_id"
        if of_other_days(self.run, self.codec):  # some were left out, others are several pieces now
            wanted = round(pool.select(unit).distinct().count() / self.run.recipe.sample.pool)
        num_real = self.run.rows_of_part(TRAIN), self.run.rows_of_part(REFERENCE)
        sides = train, self._compared(self.reference)
        fitted = refine.fit_refinement(
            pool, *sides, layout, wanted, num_real=num_real, unit=unit, seed=seed, hold=self._hold
        )
        if fitted is None:
            return events
        self.fitted["refinement"] = {"columns": [each.column for each in layout.dimensions], "start": fitted.start}
        self.steps["refinement"] = fitted.figures | {"wanted": wanted}
        return refine.refined(events, fitted, seed=seed)

    @property
    def _refines(self) -> bool:
        return self.run.recipe.align.refine and self.run.recipe.sample.pool > 1

    @cached_property
    def _bands(self) -> DataFrame | None:
        return cells.fit_bands(self.train, self._hold) if self.run.recipe.log.item is not None else None

    def _compared(self, rows: DataFrame) -> DataFrame:
        """Real or generated events with what they are compared in."""
        return cells.viewed(rows, self.run.recipe.log, self._bands, whole=self.codec.grain == ENTITY)

    def _layout(self, train: DataFrame) -> cells.Layout:
        names, num_train = [column.name for column in self.codec.columns], self.run.rows_of_part(TRAIN)
        return cells.fit_layout(train, self.run.recipe.log, names, num_train, seed=self.run.recipe.align.seed)

    def _weighed(self, events: DataFrame) -> DataFrame:
        seed = self.run.recipe.align.seed
        made, train = self._compared(events), self._compared(self.train)
        num_events, num_train = events.count(), self.run.rows_of_part(TRAIN)
        if not num_events or not num_train:
            return events
        fitted = weights.fit_weights(made, train, self._layout(train), num_events, num_train, seed=seed)
        self.fitted["weights"] = {"terms": len(fitted.terms), "start": fitted.start, "mean": fitted.mean}
        self.steps["weights"] = {"before": fitted.auc, "after": fitted.after}
        return weights.with_weights(made, fitted).drop(*cells.VIEWS)
