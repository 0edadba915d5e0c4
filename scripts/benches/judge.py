"""One judge for rows from anywhere: files in a log's own columns, held against the same train rows and holdout.

Attributes of items and users are judged as the columns they are in the file, never joined, so that a generator that
breaks the tie between an item and its genre is seen. Ids of users are left out: some generators re-key them.
"""

from pathlib import Path

import pandas as pd
from benches.dcr import compared_columns, dcr_share, two_parts
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.config.stages import EvaluateConfig, IngestConfig
from clickweave.contracts.tables import GENERATED, REAL
from clickweave.evaluation.columns import Column, judged_columns
from clickweave.evaluation.detection import detection_auc, side_by_side
from clickweave.evaluation.fidelity import Sides, judge_pairs, judge_shapes
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.evaluation.privacy.copies import judge_copies
from clickweave.evaluation.samples import Samples, bootstrap_copy, draw_samples, independent_columns, take
from clickweave.evaluation.utility import Sizes, choose_target, judge_utility
from clickweave.frames.normalise import canonical_events
from clickweave.frames.quality import entity_of_row, number_equal_rows

FOLD_SEEDS = 4
SAMPLE_ROWS = 100_000  # one draw of 20,000 rows moves the AUC behind U1 by 0.005, which is 0.03 of the lift
SIDE_ROWS = 20_000  # of what compares rows
DCR = {"P2": False, "P2u": True}  # name -> whether attributes of users count


def flat_schema(log: SchemaConfig) -> SchemaConfig:
    """The schema with attributes of items and users as event features."""
    features = {**log.features, **log.item_features, **log.user_features}
    return log.model_copy(update={"features": features, "item_features": {}, "user_features": {}})


class Judge:
    """Holds rows against `train` and `holdout`, Parquet files in the log's own columns; `log` says what those mean."""

    def __init__(self, spark: SparkSession, log: SchemaConfig, train: Path, holdout: Path) -> None:
        self._spark, self._log, self._schema, self._config = (
            spark,
            log,
            flat_schema(log),
            EvaluateConfig(sample_rows=SAMPLE_ROWS),
        )
        self._train, self._holdout = self._canonical(train, REAL), self._canonical(holdout, REAL)
        self._reached = self._count_labels()

    def scores(self, synthetic: Path) -> dict[str, float]:
        """F1, F3, F4, U1 and P1 (copied rows) as the report scores them, F4 over several fold seeds; P2 of dcr.py.

        A name that is not applicable is left out. Each call draws the same sample of train and holdout, at most
        SAMPLE_ROWS a side.
        """
        inputs, samples, sides, columns = self._sampled(synthetic)
        found = [judge_shapes(sides, columns)[0], judge_pairs(sides, columns)[0]]
        target = choose_target(self._reached, self._reached[0], samples.holdout)
        sizes = Sizes(self._reached[0], extra_per_real=0.0)
        found += judge_utility(samples, self._schema, target, sizes, self._config.utility_seeds)[0][:1]
        found += judge_copies(inputs, sides.independent)[0][:1]
        scores = {row.id: row.score for row in found if row.score is not None}
        scores["F4"] = c2st(sides, "synthetic", columns) - c2st(sides, "train", columns)
        return {**scores, **self._nearer_to_train(samples.synthetic, samples.train, samples.holdout)}

    def fresh_scores(self) -> dict[str, float]:
        """P2 of real rows that nothing was fitted on: two parts of the holdout's users, each against the other."""
        samples = draw_samples(self._inputs(self._holdout))
        parts = two_parts(samples.holdout, self._config.seed)
        found = [self._nearer_to_train(rows, samples.train, other) for rows, other in (parts, parts[::-1])]
        return {name: (found[0][name] + found[1][name]) / 2 for name in DCR}

    def _nearer_to_train(self, rows: pd.DataFrame, train: pd.DataFrame, holdout: pd.DataFrame) -> dict[str, float]:
        size = min(len(train), len(holdout), SIDE_ROWS)
        rows, *sides = take(rows, SIDE_ROWS), take(train, size), take(holdout, size)
        kinds = {name: compared_columns(self._schema, self._log, users=users) for name, users in DCR.items()}
        return {name: dcr_share(rows, *sides, columns) for name, columns in kinds.items()}

    def _sampled(self, synthetic: Path) -> tuple[EvaluationInputs, Samples, Sides, list[Column]]:
        inputs = self._inputs(self._canonical(synthetic, GENERATED))
        samples = draw_samples(inputs)
        size = min(samples.fidelity_rows, SIDE_ROWS)
        real = take(samples.train, size)
        sides = Sides(
            train=real,
            holdout=take(samples.holdout, size),
            synthetic=take(samples.synthetic, size),
            bootstrap=bootstrap_copy(real, size, samples.seed),
            independent=independent_columns(real, samples.seed),
        )
        named = [column for column in judged_columns(self._schema) if not samples.train[column.name].isna().all()]
        return inputs, samples, sides, named

    def _inputs(self, made: DataFrame) -> EvaluationInputs:
        return EvaluationInputs(
            train=self._train,
            holdout=self._holdout,
            synthetic=made,
            mixed=made,
            items=None,
            users=None,
            schema=self._schema,
            config=self._config,
        )

    def _canonical(self, path: Path, origin: str) -> DataFrame:
        raw = self._spark.read.parquet(str(path))
        source = F.struct(*[F.col(f"`{name}`") for name in raw.columns]).alias("source")
        events = raw.select(source, F.lit(None).cast("string").alias("raw_text"))
        keyed = number_equal_rows(canonical_events(events, self._schema, IngestConfig()))
        return keyed.withColumns({"entity_id": entity_of_row(), "origin": F.lit(origin), "weight": F.lit(1.0)})

    def _count_labels(self) -> dict[int, int]:
        """Level of the funnel -> train rows that reach it; level 0 is all rows."""
        levels = range(self._schema.num_levels + 1)
        counts = [F.count(F.when(F.col("label") >= level, 1)).alias(str(level)) for level in levels]
        row = self._train.agg(*counts).collect()[0]
        return {level: int(row[str(level)]) for level in levels}


def c2st(sides: Sides, name: str, columns: list[Column]) -> float:
    """Mean AUC over fold seeds of telling a side from the holdout; one seed's folds of users alone move it by 0.02."""
    side = sides.judged[name]
    aucs = side_by_side(
        lambda seed: detection_auc(side, sides.holdout, columns, sides.train, seed)[0], range(FOLD_SEEDS)
    )
    return sum(aucs) / len(aucs)
