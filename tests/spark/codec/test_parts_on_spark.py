"""Times, vectors and texts as parts: fitted from Spark aggregates, added to rows, at both levels."""

import datetime as dt

import numpy as np
import pytest
from chispa import assert_df_equality
from pyspark.sql import functions as F

from clickweave.codec.analyse import fit_codec
from clickweave.codec.fit_parts import fit_parts
from clickweave.codec.inputs import history_inputs, planned_columns, row_inputs
from clickweave.codec.part_names import clock_part, day_part, length_part, numbered_part, since_part
from clickweave.codec.pieces import RUN, fit_vocabulary
from clickweave.codec.spec import ENTITY, ROW, VALUES, Parts
from clickweave.codec.times import fit_times, planned_time_parts, with_time_parts
from clickweave.config.log import SchemaConfig
from clickweave.config.stages import EncodeConfig
from clickweave.frames.draws import unit_draw

LOG = SchemaConfig.model_validate(
    {
        "user": "u",
        "query": "q",
        "event_time": {"column": "t"},
        "features": {"asked": "time", "fixed": "time", "never": "time", "taste": "vector", "none": "vector"},
        "user_features": {"born": "time", "mood": "vector", "bio": "text"},
    }
)
TYPE = (
    "row_id bigint, entity_id string, user_id string, item_id string, query string, event_time timestamp, "
    "label bigint, feature_asked timestamp, feature_fixed timestamp, feature_never timestamp, "
    "feature_taste array<double>, feature_none array<double>, source struct<x:int>"
)
USER_TYPE = "user_id string, feature_born timestamp, feature_mood array<double>, feature_bio string"
CONFIG = EncodeConfig(num_bins=8, min_users=3, max_pieces=3)
START = dt.datetime(2023, 1, 1)
USERS, NUM = 20, 300


def query_of(n):
    """Some that many users wrote, and others of words and characters that they share."""
    return [None, "red shoe", f"red shoes {n}", f"zz{n % 7}", f"汽车图{'片器' * (n % 2)}"][n % 5]


def train_rows():
    rng, rows = np.random.default_rng(0), []
    centres = rng.normal(size=(4, 3))
    for n in range(NUM):
        user, time = f"u{n % USERS}", START + dt.timedelta(seconds=n * 977)
        asked = None if n % 10 == 0 else time - dt.timedelta(seconds=n % 50, milliseconds=n)
        taste = None if n % 9 == 0 else (centres[n % 4] + 0.01 * rng.normal(size=3)).tolist()
        rows.append((n, user, user, None, query_of(n), time, 1, asked, START, None, taste, None, (1,)))
    return rows


@pytest.fixture(scope="module")
def train(spark):
    return spark.createDataFrame(train_rows(), TYPE).cache()


@pytest.fixture(scope="module")
def users(spark):
    born = [dt.datetime(1990, 1, 1) + dt.timedelta(days=n * 100) for n in range(USERS)]
    rows = [(f"u{n}", born[n], [float(n % 2), 1.0], f"likes {'red' if n % 2 else f'no{n}'}") for n in range(USERS)]
    return spark.createDataFrame(rows, USER_TYPE).cache()


def draw():
    return unit_draw("row_id", salt="sample", seed=0)


def fitted(inputs, grain, config=CONFIG, log=LOG):
    planned = planned_columns(log, grain)
    times = fit_times(inputs, planned, timed=log.event_time is not None, num_bins=config.num_bins)
    rows, planned = with_time_parts(inputs, times), planned_time_parts(planned, times)
    return fit_parts(rows, planned, fit_codec(rows, planned, config, grain=grain, fitted_on="x"), config, draw()), times


@pytest.fixture(scope="module")
def by_row(train):
    (spec, rows, tables), times = fitted(row_inputs(train), ROW)
    return spec, rows.cache(), tables, times


@pytest.fixture(scope="module")
def by_history(train, users):
    (spec, rows, tables), times = fitted(history_inputs(train, users, LOG), ENTITY)
    return spec, rows.cache(), tables, times


def column_of(spec, name):
    return next(column for column in spec.columns if column.name == name)


def test_times_near_the_event_are_distances_and_others_days_and_clocks(by_row, by_history):
    def days_and_clock(name):
        return Parts(name, "time", (day_part(name), clock_part(name)))

    events = (
        Parts("feature_asked", "since", (since_part("feature_asked"),)),
        days_and_clock("feature_fixed"),
        days_and_clock("feature_never"),
    )
    assert by_row[3] == events
    assert by_history[3] == (days_and_clock("profile_born"), *events)


def test_without_times_of_events_there_is_no_distance(train):
    planned = planned_columns(LOG.model_copy(update={"event_time": None}), ROW)
    found = fit_times(train, planned, timed=False, num_bins=8)
    assert [each.kind for each in found] == ["time"] * 3


def test_distances_are_exact_to_the_microsecond_and_null_where_the_time_is(by_row):
    spec, rows, _, _ = by_row
    name = since_part("feature_asked")
    for row in rows.select("event_time", "feature_asked", name).collect():
        asked = row["feature_asked"]
        wanted = None if asked is None else round((asked - row["event_time"]).total_seconds() * 1e6)
        assert row[name] == wanted
    assert column_of(spec, name).step == 1_000
    assert column_of(spec, name).num_null == NUM // 10
    assert column_of(spec, day_part("feature_fixed")).lows == (19_358.0,)
    assert column_of(spec, day_part("feature_never")).num_codes == 1


def test_parts_stand_beside_or_in_place_of_their_column(by_row):
    spec, _, tables, _ = by_row
    pieces = [length_part("query"), *[numbered_part("query", n) for n in range(3)]]
    digits = [numbered_part("feature_taste", n) for n in range(len(tables["feature_taste.centroids"]))]
    fixed = [part(f"feature_{name}") for name in ("fixed", "never") for part in (day_part, clock_part)]
    names = ["entity_id", "event_day", "event_clock", "query", *pieces, since_part("feature_asked"), *fixed, *digits]
    assert [column.name for column in spec.columns] == [*names, numbered_part("feature_none", 0), "label"]
    for column in spec.columns:
        if column.kind == VALUES:
            assert sum(column.counts) + column.num_null + column.num_rare == NUM, column.name


def test_pieces_are_there_exactly_where_the_text_is_not_a_kept_value(by_row):
    spec, rows, _, _ = by_row
    kept = set(column_of(spec, "query").values)
    assert "red shoe" in kept
    whole = F.col("query").isNull() | F.col("query").isin(*kept)
    assert rows.where(whole != F.col(length_part("query")).isNull()).count() == 0
    assert rows.where(F.col(length_part("query")).isNotNull()).count() == column_of(spec, "query").num_rare > 0
    assert "source" not in rows.columns


def test_no_piece_is_backed_by_too_few_users(train, by_row):
    spec, _, _, _ = by_row
    vocabulary = next(each.vocabulary for each in spec.parts if each.name == "query")
    texts = [(row["entity_id"], row["query"]) for row in train.collect() if row["query"] is not None]
    for piece in vocabulary:
        assert len({user for user, text in texts if piece in text}) >= CONFIG.min_users, piece
    shown = {value for n in range(3) for value in column_of(spec, numbered_part("query", n)).values}
    assert {piece.removeprefix(" ") for piece in shown} <= set(vocabulary)


def test_words_come_first_and_runs_only_of_words_that_few_users_wrote(spark):
    rows = [(f"u{n}", f"common 秘密 abcde{n}") for n in range(3)] + [("u1", "private" * 50), ("u1", "q q q q")]
    texts = spark.createDataFrame(rows, "entity_id string, text string")
    found = fit_vocabulary(texts, min_users=3)
    assert found[:2] == ("common", "秘密")
    assert {piece for piece in found[2:] if "a" in piece} == {"a", "ab", "abc", "abcd"}
    assert max(map(len, found[2:])) == RUN
    assert not {"q", "v", "p", "comm", "秘"} & set(found)
    assert fit_vocabulary(texts.repartition(5), min_users=3) == found
    assert fit_vocabulary(texts.where("text = 'q q q q'"), min_users=3) == ()


def test_vectors_are_null_in_all_digits_or_none_and_come_from_few_centroids(by_row):
    spec, rows, tables, _ = by_row
    names = next(each.columns for each in spec.parts if each.name == "feature_taste")
    found = rows.select("row_id", *names).toPandas().sort_values("row_id")
    null = np.arange(NUM) % 9 == 0
    for name in names:
        assert (found[name].isna() == null).all()
        assert column_of(spec, name).num_codes <= 258
    digits = found[list(names)].to_numpy()[~null].astype(int)
    made = sum(tables["feature_taste.centroids"][n][digits[:, n]] for n in range(len(names)))
    real = np.array([row[10] for row in train_rows() if row[10] is not None])
    assert np.abs(made - real).max() < 0.1
    assert np.abs(made - real.astype(np.float32)).max(1).min() > 0


def test_users_have_parts_of_their_own_counted_once_a_history(by_history):
    spec, rows, tables, _ = by_history
    about = {column.name: column for column in spec.at_level(ENTITY)}
    assert {day_part("profile_born"), length_part("profile_bio"), numbered_part("profile_mood", 0)} <= set(about)
    for column in about.values():
        if column.kind == VALUES:
            assert sum(column.counts) + column.num_null + column.num_rare == USERS, column.name
    assert about["profile_bio"].values == ("likes red",)
    assert about[length_part("profile_bio")].num_null == USERS // 2
    assert tables["profile_mood.centroids"].shape[1] == 2
    assert "likes" in next(each.vocabulary for each in spec.parts if each.name == "profile_bio")
    assert rows.count() == NUM


def test_fitting_and_adding_parts_do_not_depend_on_partitions(train, by_row):
    spec, rows, tables, _ = by_row
    (again, others, more), _ = fitted(row_inputs(train.orderBy(F.desc("row_id")).repartition(5)), ROW)
    assert again == spec
    assert all((tables[name] == more[name]).all() for name in tables)
    assert_df_equality(rows, others, ignore_row_order=True)


def test_a_log_without_such_columns_stays_as_it_is(train, monkeypatch):
    log = SchemaConfig.model_validate({"user": "u", "event_time": {"column": "t"}, "query": "q"})
    inputs = row_inputs(train.where("query = 'red shoe'"))
    planned = planned_columns(log, ROW)
    spec = fit_codec(inputs, planned, CONFIG, grain=ROW, fitted_on="x")
    monkeypatch.setattr("clickweave.codec.fit_parts.with_parts", None)
    assert fit_times(None, planned, timed=True, num_bins=8) == ()
    found, rows, tables = fit_parts(inputs, planned, spec, CONFIG, draw())
    assert (found, rows is inputs, tables) == (spec, True, {})
