"""How far the days of this run are from those that the finished bundle was trained on."""

from pyspark.sql import functions as F

from clickweave.codec.drift import Drift, compared_columns, measure_drift
from clickweave.codec.inputs import row_inputs
from clickweave.codec.spec import ENTITY, PROFILE_PREFIX, CodecSpec
from clickweave.codec.times import with_time_parts
from clickweave.contracts.tables import TRAIN, feature_column
from clickweave.stages.context import StageRun
from clickweave.store import files


def measured_drift(run: StageRun) -> Drift:
    """Drift of real/train of this run against codec and shards of the finished encode, whatever it was fitted on."""
    log, rows = run.recipe.log, run.read_part(TRAIN).drop("source")
    codec = CodecSpec.from_json(files.read_bytes(run.workspace.output("encode", "codec")).decode())
    if codec.grain == ENTITY and log.user is not None and log.user_features:
        named = [F.col(feature_column(name)).alias(PROFILE_PREFIX + name) for name in log.user_features]
        rows = rows.join(run.read("ingest", "users").select("user_id", *named), "user_id", "left")
    columns = compared_columns(codec, run.read("encode", "shards"))
    parts = [each for each in codec.parts if each.name in rows.columns]
    return measure_drift(with_time_parts(row_inputs(rows), parts), columns, codec.num_rows, run.rows_of_part(TRAIN))
