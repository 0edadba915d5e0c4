import pytest
import torch
from chispa import assert_df_equality
from pyspark.sql import functions as F
from safetensors.numpy import save

from clickweave.codec.spec import BINS, VALUES, CodecSpec, ColumnSpec
from clickweave.config.stages import SampleConfig
from clickweave.models import registry
from clickweave.models.vae.params import Params
from clickweave.sampling import blocks
from clickweave.training.bundle import load_bundle_files, save_bundle

SPEC = CodecSpec(
    (
        ColumnSpec("entity_id", VALUES, "string", ("a", "b"), (5, 5), (0, 1), is_entity=True),
        ColumnSpec("item_id", VALUES, "string", ("x", "y"), (6, 3), (0, 1), num_rare=1),
        ColumnSpec("event_day", BINS, "long", counts=(10,), lows=(0.0,), highs=(0.0,), step=1.0),
        ColumnSpec("event_clock", BINS, "long", counts=(5, 5), lows=(0.0, 5e6), highs=(4e6, 9e6), step=1e6),
        ColumnSpec("feature_price", BINS, "double", counts=(10,), lows=(0.0,), highs=(2.0,)),
    ),
    10,
    "toy",
)
SMALL = Params(latent_dim=2)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("bundle"))
    torch.manual_seed(0)
    weights = registry.build("vae", SPEC, SMALL, {}).state_dict()
    save_bundle(
        folder,
        codec_json=SPEC.to_json(),
        tables=save({}),
        generator="vae",
        params=SMALL,
        weights=weights,
        training={},
    )
    return load_bundle_files(folder)


def sampled(spark, bundle, num_rows, **config):
    return blocks.sample_blocks(spark, bundle, SPEC, num_rows, SampleConfig(**{"block_rows": 64, **config}))


def test_the_rows_depend_on_seed_and_block_never_on_partitions(spark, bundle, monkeypatch):
    expected = sampled(spark, bundle, 300).cache()
    places = (
        expected.groupBy("block").agg(F.count("*").alias("n"), F.max("place").alias("last")).orderBy("block").collect()
    )
    assert [(row["n"], row["last"]) for row in places] == [(64, 63)] * 4 + [(44, 43)]
    original = type(spark).range
    for num in (1, 7):
        monkeypatch.setattr(
            type(spark), "range", lambda self, low, high, step, _, num=num: original(self, low, high, step, num)
        )
        assert_df_equality(expected, sampled(spark, bundle, 300), ignore_row_order=True)
    monkeypatch.undo()
    assert expected.exceptAll(sampled(spark, bundle, 300, seed=1)).count() > 0


def test_a_longer_sample_begins_with_the_shorter_one(spark, bundle):
    short, long = sampled(spark, bundle, 128), sampled(spark, bundle, 256)
    assert_df_equality(short, long.where("block < 2"), ignore_row_order=True)


def test_rows_hold_only_what_the_codec_knows(spark, bundle):
    rows = sampled(spark, bundle, 200)
    assert rows.columns == ["block", "entity_code", "item_id", "event_time", "feature_price", "place"]
    found = rows.collect()
    assert {row["entity_code"] for row in found} <= {2, 3}
    assert {row["item_id"] for row in found} <= {"x", "y"}
    assert all(0 <= row["feature_price"] <= 2 for row in found)
    assert (
        rows.where(
            "unix_micros(event_time) not between 0 and 9000000 or unix_micros(event_time) % 1000000 != 0"
        ).count()
        == 0
    )


def test_zero_rows_are_a_legal_answer(spark, bundle):
    none = sampled(spark, bundle, 0)
    assert none.count() == 0
    assert none.schema == sampled(spark, bundle, 1).schema


def test_block_seeds_are_distinct_and_fit_torch():
    seeds = {blocks.block_seed(seed, block) for seed in range(20) for block in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
