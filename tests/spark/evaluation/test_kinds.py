"""The judge of logs with times, vectors and texts."""

from dataclasses import replace

import numpy as np
import pytest
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.evaluation.columns import judged_columns
from clickweave.evaluation.privacy.copies import ROWS, judge_copies
from clickweave.evaluation.samples import draw_samples, independent_columns

KINDS = {"asked": "time", "spot": "vector", "note": "text"}


@pytest.fixture(scope="module")
def inputs(make_inputs, copied):
    """Copies of real rows with three features more: a time 30 seconds before each event, a vector and a text."""
    plain = make_inputs(copied)
    features = dict(plain.schema.features) | KINDS
    schema = plain.schema.model_copy(
        update=dict(
            SchemaConfig.model_validate({"item": "item", "features": features, "item_features": {"born": "time"}})
        )
        | {name: getattr(plain.schema, name) for name in ("event_time", "user", "slate", "position", "labels")}
    )
    asked = F.timestamp_micros(F.unix_micros("event_time") - F.lit(30_000_000))
    more = {"feature_asked": asked, "feature_spot": F.array(F.lit(0.5)), "feature_note": F.col("feature_device")}

    def grown(table):
        return table.withColumns(more | {"feature_spot": F.array(F.col("row_id").cast("double"))})

    sides = {name: grown(getattr(plain, name)) for name in ("train", "holdout", "synthetic", "mixed")}
    items = plain.items.withColumn("feature_born", F.timestamp_seconds(F.col("item_id").cast("int")))
    return replace(plain, **sides, items=items, schema=schema)


def test_times_are_numbers_texts_are_values_and_vectors_are_left_out(inputs):
    kinds = {column.name: column.kind for column in judged_columns(inputs.schema)}
    assert (kinds["feature_asked"], kinds["feature_note"]) == ("number", "values")
    assert kinds["item_feature_born"] == "number"
    assert "feature_spot" not in kinds


def test_a_time_is_compared_as_seconds_from_its_event_and_an_attribute_from_1970(inputs):
    samples = draw_samples(inputs)
    for frame in (samples.train, samples.holdout, samples.synthetic):
        assert set(frame["feature_asked"]) == {-30.0}
        assert (frame["item_feature_born"] == frame["item_id"].astype(float)).all()
        assert "feature_spot" not in frame


def test_copies_are_found_whatever_their_vectors_are(inputs):
    independent = independent_columns(draw_samples(inputs).train, 0)
    _, detail = judge_copies(inputs, independent)
    found = detail["copies"][ROWS]
    assert found["synthetic"]["copied"] == found["synthetic"]["total"] > 0
    assert np.isfinite(found["independent"]["total"])
