import copy
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from clickweave.config.base import Section
from clickweave.config.defaults import render_defaults
from clickweave.config.load import Recipe, check_recipe, load_recipe
from clickweave.config.log import EventTypes, LabelColumns, Threshold
from clickweave.errors import ConfigError
from clickweave.jobkit.cli import VARIANTS, default_recipe

ROOT = Path(__file__).parents[3]
SMALL = {"dataset": "d", "source": {"events": "x.parquet"}, "schema": {"user": "u", "item": "i"}}


def with_key(place, value):
    raw = copy.deepcopy(SMALL)
    section = raw
    *path, last = place.split(".")
    for part in path:
        section = section.setdefault(part, {})
    section[last] = value
    return raw


def check(place, value) -> Recipe:
    return check_recipe(with_key(place, value), VARIANTS)


@pytest.mark.parametrize(
    ("schema", "chosen"),
    [
        ({"user": "u", "item": "i", "event_time": {"column": "t", "unit": "s"}}, "journey"),
        ({"session": "s", "item": "i", "event_time": {"column": "t", "unit": "s"}}, "journey"),
        ({"user": "u", "item": "i"}, "autoregressive"),
        ({"item": "i", "event_time": {"column": "t", "unit": "s"}}, "autoregressive"),
    ],
)
def test_auto_takes_histories_where_there_are_some(schema, chosen):
    recipe = check_recipe({**SMALL, "schema": schema}, VARIANTS)
    assert recipe.train.generator == chosen
    assert recipe.encode.grain == {"journey": "entity", "autoregressive": "row"}[chosen]


REFUSED = [
    # place, value, what the message must say
    ("tarin", {}, "unknown key 'tarin'; did you mean 'train'?"),
    ("Dataset", "x", "unknown key 'Dataset'; did you mean 'dataset'?"),
    ("schema.itm", "x", "unknown key 'schema.itm'; did you mean 'item'?"),
    ("schema.Labels", {}, "did you mean 'labels'?"),
    (
        "schema.features",
        {"Price": {"kind": "numeric", "scal": 2}},
        "'schema.features.Price.scal'; did you mean 'scale'?",
    ),
    ("source.events", {"path": "x", "fromat": "csv"}, "'source.events.fromat'; did you mean 'format'?"),
    ("augment.operators", [{"name": "crop", "shar": 0.2}], "'augment.operators[0].shar'; did you mean 'share'?"),
    ("train.latent_dmi", 4, "unknown key 'train.latent_dmi'"),
    ("train.model", {"hidden": 4}, "unknown key 'train.model'"),
    ("mix.how", {}, "unknown key 'mix.how'"),
    ("split.holdout_share", "many", "split.holdout_share = 'many'"),
    ("split.holdout_share", 1.5, "split.holdout_share = 1.5"),
    ("split.holdout_share", float("nan"), "split.holdout_share"),
    ("train", 5, "train: must be a mapping, got 5"),
    ("schema", 5, "schema = 5"),
    ("schema", {"user": "u"}, "at least one of item and query"),
    ("schema", {"user": "u", "item": "u"}, "both name column 'u'"),
    ("encode.grain", "entity", "needs 'row'; leave it out"),
    ("encode.grain", "users", "encode.grain = 'users'"),
    ("encode", 5, "encode = 5"),
    ("dataset", "../up", "dataset = '../up'"),
    ("sample.entities", "x", "sample.entities = 'x'"),
    ("sample.entities", -1, "sample.entities = -1"),
    ("sample.continue_share", 0.2, "sample.continue_share needs a generator of histories"),
    ("sample.continue_share", 1.2, "sample.continue_share = 1.2"),
    ("sample.continue_events", 0, "sample.continue_events = 0"),
    ("sample.entities", True, "sample.entities = True"),
    ("schema.session_gap", "3 weeks", "'3 weeks' is not a duration"),
    ("schema.session_gap", 0, "0 is not a duration"),
    ("ingest.earliest", "soon", "ingest.earliest = 'soon'"),
    ("train.generator", "vea", "'vea' is unknown; there are autoregressive, gan, "),
    ("train.any_order", -1, "train.any_order = -1"),
    ("mix.strategy", "blend", "blend needs a numeric or vector event feature"),
    ("mix.strategy", "balance", "balance by label needs schema.labels"),
    ("mix.synthetic_per_real", "some", "mix.synthetic_per_real = 'some'"),
    ("mix", {"strategy": "share", "by": "device"}, "by is 'device', but must be label, a categorical or id feature"),
    ("mix", {"strategy": "cold_boost", "by": "query"}, "mix.by = 'query'"),
    ("mix", {"strategy": "cold_boost", "c": 0}, "mix.c = 0"),
    ("mix", {"strategy": "upweight", "weight": 0}, "mix.weight = 0"),
    ("mix", {"strategy": "concat", "synthetic_per_real": 1}, "belongs to the strategies share and blend"),
    ("mix.strategy", "shares", "'shares' is unknown"),
    ("mix.synthetic_per_real", -0.5, "mix.synthetic_per_real = -0.5"),
    ("schema.features", {"v": {"kind": "vector", "unit": "s"}}, "unit and format belong to features of kind time"),
    ("schema.features", {"t": {"kind": "time", "unit": "h"}}, "schema.features.t.unit = 'h'"),
    ("encode.max_pieces", 0, "encode.max_pieces = 0"),
    ("schema.features", {"v": "colour"}, "schema.features.v.kind = 'colour'"),
    ("schema.features", {"a.b": "numeric"}, "feature name 'a.b'"),
    ("schema.features", {"Price": "numeric", "price": "numeric"}, "'Price' and 'price' differ in case alone"),
    ("schema.features", {"p": {"kind": "numeric", "min": 3, "max": 2}}, "min 3 is above max 2"),
    ("augment.operators", [{"name": "corp"}], "'corp' is unknown; there are scale, rotate, "),
    ("augment.operators", ["crop"], "augment.operators[0]: must be a mapping with a name"),
    ("augment.operators", {"name": "crop"}, "augment.operators: must be a list"),
    ("augment.operators", [[{"name": "scale"}, "crop"]], "augment.operators[0][1]: must be a mapping with a name"),
    (
        "augment.operators",
        [[{"name": "mask"}, {"name": "crop"}]],
        "augment.operators[0][0]: mask must be the last operator of its chain",
    ),
    ("augment.operators", [[]], "augment.operators[0]: must be a mapping with a name, or a list of these, got []"),
    ("augment.operators", [[{"name": "negatives"}, {"name": "crop"}]], "crop needs sessions"),
    ("augment.operators", [{"name": "negatives", "ratio": "x"}], "augment.operators[0].ratio = 'x'"),
    ("augment.operators", [{"name": "crop"}], "crop needs sessions"),
    ("augment.operators", [{"name": "scale"}], "scale needs a numeric event feature"),
    ("augment.operators", [{"name": "scale", "columns": ["i"]}], "'i' is not a numeric event feature"),
    ("schema.labels", {}, "schema.labels"),
    ("schema.labels", 3, "schema.labels = 3"),
    ("schema.labels", {"column": "b"}, "name the event types too"),
    ("schema.labels", {"column": "b", "order": ["view", "view"]}, "stands twice"),
    ("schema.labels", {"click": {"column": "r"}}, "at_least' is missing"),
    ("evaluate.gates", {"F9": "block"}, "unknown row 'F9'; rows are F1"),
    ("evaluate.gates", {"F1 shapes": "block"}, "unknown figure 'F1 shapes'"),
    ("evaluate.gates", {"F1": {"gate": 0.97}}, "'F1' changes nothing"),
    ("evaluate.gates", {"F1": {"gat": 0.9}}, "unknown key 'evaluate.gates.F1.gat'; did you mean 'gate'?"),
    ("evaluate.gates", {"F1": {"gate": "low"}}, "evaluate.gates.F1.gate = 'low'"),
    ("evaluate.gates", {"F1": "blok"}, "evaluate.gates.F1 = 'blok'"),
    ("split.by", "session", "schema.session names no column"),
    ("split.test_share", 0.1, "split.test_share needs schema.event_time"),
]


@pytest.mark.parametrize(("place", "value", "said"), REFUSED, ids=[f"{row[0]}={row[1]}"[:60] for row in REFUSED])
def test_a_wrong_recipe_is_refused_in_one_line_that_names_the_place(place, value, said):
    with pytest.raises(ConfigError) as caught:
        check(place, value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["dataset", "source", "schema"])
def test_a_missing_key_is_named(missing):
    raw = {key: value for key, value in SMALL.items() if key != missing}
    with pytest.raises(ConfigError, match=f"'{missing}' is missing"):
        check_recipe(raw, VARIANTS)


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45), ("30min", 1800), ("2h", 7200), ("1d", 86_400), ("1.5h", 5400), (90, 90)]
)
def test_a_duration_is_seconds(text, seconds):
    assert check("schema.session_gap", text).log.session_gap == seconds


def test_labels_take_columns_thresholds_and_event_types():
    log = check("schema.labels", {"click": "c", "like": {"column": "rating", "at_least": 4}}).log
    assert log.labels == LabelColumns(names=("click", "like"), columns=("c", Threshold(column="rating", at_least=4)))
    assert (log.num_levels, list(log.thresholds)) == (2, [2])
    assert log.event_features["rating"].kind == "numeric"
    types = check("schema.labels", {"column": "b", "order": ["view", "buy"]}).log
    assert types.labels == EventTypes(column="b", order=("view", "buy"))
    assert check("schema.labels", None).log.num_levels == 1


def test_a_threshold_column_never_displaces_a_declared_feature():
    raw = with_key("schema.labels", {"like": {"column": "rating", "at_least": 4}})
    raw["schema"]["features"] = {"rating": {"kind": "categorical", "column": "grade"}}
    features = check_recipe(raw, VARIANTS).log.event_features
    assert features["rating"].column == "grade"
    assert [spec.column for spec in features.values()] == ["grade", "rating"]


def test_a_threshold_column_with_a_dot_is_carried_under_a_plain_name():
    log = check("schema.labels", {"like": {"column": "user.rating", "at_least": 4}}).log
    assert {name: spec.column for name, spec in log.event_features.items()} == {"user_rating": "user.rating"}


def test_a_date_may_stand_without_quotes(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("dataset: d\nsource: {events: x}\nschema: {item: i}\ningest: {earliest: 2020-01-31}\n")
    assert load_recipe(str(path), VARIANTS).ingest.earliest == "2020-01-31"


def test_a_whole_number_of_entities_stays_one():
    assert isinstance(check("sample.entities", 3).sample.entities, int)
    assert isinstance(check("sample.entities", 3.0).sample.entities, float)


def test_an_override_wins_over_the_recipe_and_the_recipe_over_the_profile(tmp_path, monkeypatch):
    (tmp_path / "conf/profiles").mkdir(parents=True)
    (tmp_path / "conf/profiles/local.yaml").write_text(
        "train: {epochs: 1, batch_size: 7}\nspark: {master: 'local[1]'}\n"
    )
    recipe = tmp_path / "r.yaml"
    recipe.write_text("dataset: d\nsource: {events: x}\nschema: {item: i}\ntrain: {epochs: 2, threads: 2}\n")
    monkeypatch.chdir(tmp_path)
    loaded = load_recipe(str(recipe), VARIANTS, profile="local", overrides=["train.threads=3", "mix.seed=5"])
    assert (loaded.train.epochs, loaded.train.batch_size, loaded.train.threads) == (2, 7, 3)
    assert (loaded.spark.master, loaded.mix.seed) == ("local[1]", 5)


def test_an_override_of_a_mapping_leaves_its_other_keys():
    base = str(ROOT / "conf/recipes/movielens.yaml")
    loaded = load_recipe(base, VARIANTS, overrides=["schema.event_time.unit=ms"])
    assert (loaded.log.event_time.column, loaded.log.event_time.unit) == ("timestamp", "ms")


@pytest.mark.parametrize(
    "override", ["epochs", "=3", "train..epochs=3", "train.epochs=[1", "train.epochs=&a 1", "train=1"]
)
def test_a_wrong_override_is_refused(override):
    with pytest.raises(ConfigError) as caught:
        load_recipe(str(ROOT / "conf/recipes/movielens.yaml"), VARIANTS, overrides=[override])
    assert "\n" not in str(caught.value)


def test_a_missing_or_unreadable_recipe_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_recipe(str(tmp_path / "none.yaml"), VARIANTS)
    (tmp_path / "latin.yaml").write_bytes(b"dataset: \xff\xfe\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml"):
        load_recipe(str(tmp_path / "latin.yaml"), VARIANTS)
    with pytest.raises(ConfigError, match="profile 'big' is unknown; there are local, cluster"):
        load_recipe(str(ROOT / "conf/recipes/movielens.yaml"), VARIANTS, profile="big")


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "conf/recipes").glob("*.yaml")))
@pytest.mark.parametrize("profile", [None, "local", "cluster"])
def test_the_recipes_that_come_along_load(name, profile):
    assert load_recipe(str(ROOT / "conf/recipes" / name), VARIANTS, profile=profile).dataset


def test_every_section_and_every_variant_key_stands_in_the_defaults():
    text = default_recipe()
    for name, field in Recipe.model_fields.items():
        assert f"\n{field.alias or name}:" in text
    for params in (VARIANTS.operator("crop"), VARIANTS.generator("vae"), VARIANTS.strategy("share")):
        for key in set(params.model_fields) - {"name"}:
            assert f"#   {key}: " in text


def test_a_recipe_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        check("train", {}).train.epochs = 3


def test_defaults_need_no_variants():
    assert "train:" in render_defaults({})


class OfHistories(Section):
    """Parameters of a generator that reads whole histories."""

    GRAIN: ClassVar[str] = "entity"


def test_the_codec_gets_the_grain_that_the_generator_needs():
    variants = replace(
        VARIANTS, generator=lambda name: OfHistories if name == "histories" else VARIANTS.generator(name)
    )
    for generator, grain in (("vae", "row"), ("histories", "entity")):
        for asked in ({}, {"grain": None}, {"grain": grain}):
            raw = {**SMALL, "train": {"generator": generator}, "encode": asked}
            assert check_recipe(raw, variants).encode.grain == grain
    wrong = {**SMALL, "train": {"generator": "histories"}, "encode": {"grain": "row"}}
    with pytest.raises(ConfigError, match="'row', but generator 'histories' needs 'entity'"):
        check_recipe(wrong, variants)
    assert "grain: null" in render_defaults({})


@pytest.mark.parametrize("strategy", ["upweight", "concat", "balance", "replace"])
def test_a_ratio_for_a_strategy_that_has_none_is_refused_in_its_own_words(strategy):
    raw = {"dataset": "d", "source": {"events": "x"}, "schema": {"item": "i"}}
    mix = {"strategy": strategy, "synthetic_per_real": "auto"}
    with pytest.raises(ConfigError, match="belongs to the strategies share and blend, not to ") as caught:
        check_recipe(raw | {"mix": mix}, VARIANTS)
    assert "\n" not in str(caught.value)
    assert ("mix.share" in str(caught.value)) == (strategy == "upweight")
