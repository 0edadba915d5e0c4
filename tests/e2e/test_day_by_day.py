"""Runs by days on a log of six days: what is published of a day stays until that day is processed again."""

import hashlib
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import toys

FIRST_S, DAY_S = 1_793_491_200, 86_400  # 2026-11-01 00:00 UTC
DAYS = [f"2026-11-0{number}" for number in range(1, 7)]


def clicks(seed, num, days):
    rng = np.random.default_rng(seed)
    user, item = rng.integers(1, 61, num), rng.integers(1, 21, num)
    second = FIRST_S + (np.arange(num) % days) * DAY_S + rng.integers(0, DAY_S, num)
    return {"user_id": user, "item_id": item, "click": (rng.random(num) < 0.4).astype("int64"), "t": second}


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    folder = tmp_path_factory.mktemp("days")
    (folder / "events").mkdir()
    toys.save(folder, "events/a", clicks(0, 1500, 6))
    schema = {"event_time": {"column": "t", "unit": "s"}, "user": "user_id", "item": "item_id"}
    recipe = {"dataset": "days", "source": {"events": str(folder / "events")}}
    recipe |= {"schema": schema | {"labels": {"click": "click"}}, "train": {"generator": "vae"}}
    return toys.write_recipe(folder, recipe)


def run(cli, log, place, days, *more):
    done = cli("run", log, "--workspace", place, "--partitions", days, *more)
    assert done.code == 0, done.err
    return done, toys.Run(log, place)


def bytes_of(place, record):
    files = sorted((place / record["folder"]).glob("*.parquet"))
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def exported(cli, place, folder):
    done = cli("export", "--workspace", place, "--table", "published", "--out", folder / "published.parquet")
    assert done.code == 0, done.err
    return pq.read_table(folder / "published.parquet")


def day_of(table):
    return pc.strftime(pc.cast(table["t"], pa.timestamp("s")), "%Y-%m-%d")


@pytest.fixture(scope="module")
def workspaces(cli, log, tmp_path_factory):
    """One workspace after runs of days 1 to 3 and 4 to 6, and one that has only the first run's bundle and version, and
    made the second run a second time.
    """
    first, again = tmp_path_factory.mktemp("first") / "w", tmp_path_factory.mktemp("again") / "w"
    run(cli, log, first, "2026-11-01..2026-11-03")
    for kept in ("encode", "train", "published"):
        shutil.copytree(first / kept, again / kept)
    run(cli, log, first, "2026-11-04..2026-11-06")
    run(cli, log, again, "2026-11-04..2026-11-06")
    return toys.Run(log, first), toys.Run(log, again)


def test_new_days_stand_beside_the_old_ones_which_stay_where_they_are(workspaces, cli, tmp_path):
    first, _ = workspaces
    old, new = first.versions()
    assert [sorted(version["days"]) for version in (old, new)] == [DAYS[:3], DAYS]
    assert all(new["days"][day] == old["days"][day] for day in DAYS[:3])
    table = exported(cli, first.place, tmp_path)
    found = {day.as_py(): count.as_py() for day, count in (v.values() for v in pc.value_counts(day_of(table)))}
    assert found == {day: record["rows"] for day, record in new["days"].items()}
    assert sum(record["source"]["rows"] for record in new["days"].values()) == 1500
    assert set(table["origin"].to_pylist()) == {"real", "generated"}
    users = pq.read_table(first.place / new["path"] / "users")["user_id"].to_pylist()
    generated = table.filter(pc.equal(table["origin"], "generated"))["user_id"].to_pylist()
    assert set(map(str, generated)) <= set(users)
    assert users == sorted(users)
    card = (first.place / new["path"] / "DATA_CARD.md").read_text()
    assert "rows of 6 days from 2026-11-01 to 2026-11-06" in card
    assert "This run made 3 of them, 2026-11-04 to 2026-11-06" in card


def test_the_same_days_are_the_same_bytes(workspaces):
    first, again = workspaces
    one, two = first.versions()[-1]["days"], again.versions()[-1]["days"]
    assert sorted(one) == sorted(two) == DAYS
    for day in DAYS:
        assert bytes_of(first.place, one[day]) == bytes_of(again.place, two[day]), day
    assert [one[day]["folder"] for day in DAYS[:3]] == [two[day]["folder"] for day in DAYS[:3]]
    assert one["2026-11-05"]["folder"] != two["2026-11-05"]["folder"]


def test_a_day_with_late_rows_is_reopened_and_the_same_command_then_does_nothing(workspaces, cli, log, no_spark_later):
    first, _ = workspaces
    before = first.versions()[-1]["days"]
    toys.save(log.parent, "events/late", {name: values[1:][::2] for name, values in clicks(9, 25, 2).items()})
    done, _ = run(cli, log, first.place, "2026-11-05..2026-11-06")
    assert "2026-11-02 is reopened: 12 more rows than published" in done.err
    version = first.versions()[-1]
    after = version["days"]
    changed = {day for day in DAYS if before[day] != after[day]}
    assert changed == {"2026-11-02", "2026-11-05", "2026-11-06"}
    assert after["2026-11-02"]["source"]["rows"] == before["2026-11-02"]["source"]["rows"] + 12
    told = first.manifest("ingest")["metrics"]["days"]
    assert (told["asked"], told["reopened"]) == (["2026-11-05", "2026-11-06"], ["2026-11-02"])
    no_spark_later()
    done, _ = run(cli, log, first.place, "2026-11-05..2026-11-06")
    assert "nothing to do" in done.out
    assert first.versions()[-1] == version


@pytest.fixture
def no_spark_later(monkeypatch):
    """A function after which the test fails if anything asks for a Spark session."""

    def refuse(*_):
        raise AssertionError("a Spark session was asked for")

    return lambda: monkeypatch.setattr("clickweave.jobkit.pipeline.make_session", refuse)
