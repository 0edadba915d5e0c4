"""Who synthetic users are: their attributes under new ids, without those that tell of a single real user."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.codec.spec import PLACE, PROFILE_PREFIX
from clickweave.config.log import FeatureSpec
from clickweave.contracts.tables import feature_column
from clickweave.frames.align import privacy, rows
from clickweave.stages.context import StageRun


def attributes_of_new(
    run: StageRun, entities: DataFrame | None, histories: DataFrame | None, users: DataFrame, train: DataFrame
) -> DataFrame:
    """Attributes of synthetic users under their new ids: generated ones, or those of the users they re-enact, as far as
    others have them too.
    """
    if run.recipe.log.user is None:
        return users.limit(0)
    if histories is not None:
        first = histories.where(F.col(PLACE) == 0).withColumn("user_id", F.col(rows.NEW_ID))
        made = {name: name.replace(feature_column(""), PROFILE_PREFIX, 1) for name in users.columns}
        return first.select(*[F.col(made[f.name]).cast(f.dataType).alias(f.name) for f in users.schema.fields])
    if entities is None:
        return users.limit(0)
    known = users.join(train.select("user_id").distinct(), "user_id", "left_semi")
    told = without_rare(
        run, users, known.withColumnRenamed("user_id", "entity_id"), told_in_words(run.recipe.log.user_features)
    )
    renamed = entities.select(F.col("real_id").alias("user_id"), "new_id")
    joined = renamed.join(told, "user_id", "left")
    return joined.withColumn("user_id", F.col("new_id")).select(*users.columns)


def without_rare(run: StageRun, table: DataFrame, real: DataFrame, names: list[str]) -> DataFrame:
    """A table of real users without values that fewer than encode.min_users of them have, since a generated user who
    re-enacts one of those would tell of that one.
    """
    private = privacy.private_values(real, names, min_users=run.recipe.encode.min_users)
    table, marks = privacy.without_private_values(table, private)
    return table.drop(*marks)


def told_in_words(features: dict[str, FeatureSpec]) -> list[str]:
    """Columns of features whose single values can tell of somebody."""
    return [feature_column(name) for name, spec in features.items() if spec.kind in ("categorical", "text")]
