"""From raw columns to canonical ones: types, units, text case and declared ranges. Bad values become reasons.

`canonical_events` adds to a raw frame (one struct column `source`) the canonical columns and the array column
`reasons`, empty for a good row. Native expressions only; every cast is a try_cast, since ANSI mode is on.
"""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clickweave.config.log import EventTypes, FeatureSpec, LabelColumns, SchemaConfig, Threshold, TimeFormat
from clickweave.config.stages import IngestConfig
from clickweave.contracts.tables import feature_column
from clickweave.frames.vectors import vector_value

_FAR_US = 1 << 57  # some 4,500 years; what lies beyond is set to it, so that no wrong unit overflows
WANTED = {"numeric": "a number", "time": "a time", "vector": "a vector of finite numbers as long as the others"}
MICROS_PER_UNIT = {"s": 1_000_000, "ms": 1_000, "us": 1}


def canonical_events(
    raw: DataFrame, log: SchemaConfig, config: IngestConfig, lengths: Mapping[str, int] | None = None
) -> DataFrame:
    """Requires `source` (struct of the raw row) and `raw_text` (null where it was readable). One row per raw row.

    Args:
        lengths: of the vectors among the event features (frames/vectors.py).
    """
    known = lengths or {}
    keys = {
        "user_id": _text_key(log.user),
        "session_id": _text_key(log.session),
        "slate_id": _text_key(log.slate),
        "item_id": _text_key(log.item),
        "query": _text_key(log.query),
        "position": _whole(log.position),
        "propensity": F.lit(None).cast("double")
        if log.propensity is None
        else _source(log.propensity).try_cast("double"),
        "event_time": F.lit(None).cast("timestamp")
        if log.event_time is None
        else parsed_time(_source(log.event_time.column), log.event_time),
        "label": _label(log),
    }
    features = {
        feature_column(name): feature_value(_source(spec.column or name), spec, known.get(name))
        for name, spec in log.event_features.items()
    }
    frame = raw.select("source", "raw_text", *[value.alias(name) for name, value in (keys | features).items()])
    return frame.withColumn("reasons", _reasons(log, config))


def feature_value(raw: Column, spec: FeatureSpec, length: int | None = None) -> Column:
    """A feature in its canonical type: text with its case folded, a time, a vector of that length, or a double in
    canonical units and inside the declared range, NaN as null.
    """
    if spec.kind == "time":
        return parsed_time(raw, spec)
    if spec.kind == "vector":
        return vector_value(raw, length)
    if spec.kind != "numeric":
        text = raw.cast("string")
        return {"keep": text, "lower": F.lower(text), "upper": F.upper(text)}[spec.case]
    value = raw.try_cast("double") * F.lit(spec.scale)
    value = F.when(F.isnan(value) | (F.abs(value) == F.lit(float("inf"))), None).otherwise(value)
    if spec.min is not None:
        value = F.when(value < spec.min, F.lit(spec.min)).otherwise(value)
    if spec.max is not None:
        value = F.when(value > spec.max, F.lit(spec.max)).otherwise(value)
    return value.cast("double")


def is_lost(raw: Column, value: Column, spec: FeatureSpec) -> Column:
    """Whether a raw column of a kind in WANTED holds something that its `feature_value` could not be made of."""
    lost = raw.isNotNull() & value.isNull()
    return lost if spec.kind == "vector" else lost & ~F.lower(F.trim(raw.cast("string"))).isin("nan", "")


def _source(column: str) -> Column:
    return F.col("source").getField(column)


def _text_key(column: str | None) -> Column:
    if column is None:
        return F.lit(None).cast("string")
    text = _source(column).cast("string")
    return F.when(F.length(F.trim(text)) > 0, text)


def _whole(column: str | None) -> Column:
    """A whole number, also from a fraction such as `3.0`; null for any other."""
    if column is None:
        return F.lit(None).cast("bigint")
    raw, number = _source(column), _source(column).try_cast("double")
    is_whole = number.isNull() | (number == F.floor(number))
    return F.when(is_whole, F.coalesce(raw.try_cast("bigint"), number.try_cast("bigint")))


def parsed_time(raw: Column, spec: TimeFormat) -> Column:
    """A timestamp to the microsecond, UTC; null for what does not parse."""
    if spec.unit is not None:
        per_unit = MICROS_PER_UNIT[spec.unit]
        # whole numbers exactly; fractions (1.5 s) by decimal, so that no microsecond is lost to binary rounding
        micros = (raw.try_cast("decimal(28,6)") * F.lit(per_unit)).try_cast("bigint")
        inside = F.least(F.greatest(micros, F.lit(-_FAR_US)), F.lit(_FAR_US))
        return F.timestamp_micros(F.when(micros.isNotNull(), inside))
    if spec.format is not None:
        return F.try_to_timestamp(raw.cast("string"), F.lit(spec.format))
    return raw.try_cast("timestamp")


def _reached(column: str | Threshold) -> Column:
    """Whether a label is set: true, a number above 0, or the threshold reached; null where it cannot be told."""
    if isinstance(column, Threshold):
        return _not_nan(_source(column.column).try_cast("double")) >= F.lit(column.at_least)
    text = F.lower(_source(column).cast("string"))
    number = _not_nan(_source(column).cast("string").try_cast("double"))
    return F.when(text == "true", True).when(text == "false", False).otherwise(number > 0)


def _not_nan(number: Column) -> Column:
    return F.when(~F.isnan(number), number)  # to Spark NaN is above every number


def _label(log: SchemaConfig) -> Column:
    match log.labels:
        case None:
            return F.lit(1).cast("bigint")
        case EventTypes(column=column, order=order):
            level = F.array_position(F.array(*[F.lit(name) for name in order]), _source(column).cast("string"))
            return F.when(level > 0, level).cast("bigint")
        case LabelColumns(columns=labels):
            level = F.lit(0)
            for number, label in enumerate(labels, start=1):
                level = F.when(_reached(label), F.lit(number)).otherwise(level)
            known = F.lit(True)
            for label in labels:
                known = known & _reached(label).isNotNull()
            return F.when(known, level).cast("bigint")


def _broken_funnel(log: SchemaConfig) -> Column:
    """Law 6: with one column per label, a stronger label without a weaker one."""
    broken = F.lit(False)
    if isinstance(log.labels, LabelColumns):
        for weaker, stronger in zip(log.labels.columns, log.labels.columns[1:], strict=False):
            broken = broken | (_reached(stronger) & ~_reached(weaker))
    return F.coalesce(broken, F.lit(False))


def _reasons(log: SchemaConfig, config: IngestConfig) -> Column:
    raw_is = lambda column: _source(column).isNotNull()  # noqa: E731
    rules = [("unreadable record", F.col("raw_text").isNotNull())]
    if log.item is not None and log.query is None:
        rules.append((f"item ({log.item}) is null or empty", F.col("item_id").isNull()))
    elif log.item is None:
        rules.append((f"query ({log.query}) is null or empty", F.col("query").isNull()))
    else:
        rules.append(("item and query are both null", F.col("item_id").isNull() & F.col("query").isNull()))
    if log.event_time is not None:
        time = F.col("event_time")
        outside = (time < F.lit(config.earliest).cast("timestamp")) | (time >= F.lit(config.latest).cast("timestamp"))
        rules.append((f"event_time ({log.event_time.column}) is null or does not parse", time.isNull()))
        rules.append((f"event_time ({log.event_time.column}) is outside {config.earliest} to {config.latest}", outside))
    rules.append(("label is null or not one that the recipe names", F.col("label").isNull()))
    rules.append(("a stronger label stands without the weaker one", _broken_funnel(log)))
    roles = (("position", "a whole number", log.position), ("propensity", "a number", log.propensity))
    for role, wanted, column in roles:
        if column is not None:
            rules.append((f"{role} ({column}) is not {wanted}", raw_is(column) & F.col(role).isNull()))
    if log.propensity is not None:
        value = F.col("propensity")
        rules.append(("propensity is outside (0, 1]", ~value.between(0, 1) | (value == 0) | F.isnan(value)))
    for name, spec in log.event_features.items():
        if spec.kind in WANTED:
            column = spec.column or name
            lost = is_lost(_source(column), F.col(feature_column(name)), spec)
            rules.append((f"feature {name} ({column}) is not {WANTED[spec.kind]}", lost))
    return F.filter(
        F.array(*[F.when(test, F.lit(reason)) for reason, test in rules]), lambda reason: reason.isNotNull()
    )
