"""ingest of some days, and publish by days on stages that were made up."""

import datetime as dt
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from papers import drawn_report
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from clickweave.config.load import check_recipe
from clickweave.contracts.days import RunDays, SourceDay
from clickweave.contracts.manifest import Manifest, Output
from clickweave.contracts.tables import event_columns
from clickweave.errors import ContractError, PublishError
from clickweave.jobkit.cli import VARIANTS
from clickweave.stages import align, ingest, publish
from clickweave.stages.context import StageRun
from clickweave.store import files
from clickweave.store.export import export_table
from clickweave.store.publish import current_version, event_folders
from clickweave.store.workspace import Workspace

FIRST = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
DAYS = [f"2026-11-0{number}" for number in range(1, 7)]
ABOUT = {"run_id": "k", "seed": 0, "config_hash": "", "code_version": "", "inputs": {}}


def run_days(*days):
    return RunDays((days[0], days[-1]), {day: SourceDay(None, "x") for day in days})


def recipe_of(path, **events):
    raw = {"dataset": "d", "source": {"events": {"path": str(path), **events}}, "split": {"holdout_share": 0.3}}
    schema = {"user": "u", "item": "i", "event_time": {"column": "t", "unit": "s"}}
    return check_recipe(raw | {"schema": schema}, VARIANTS)


def test_ingest_counts_rows_of_its_days_alone_and_cuts_sessions_there(spark, tmp_path):
    start = int(FIRST.timestamp())
    times = [str(start + number * 600) for number in range(3 * 144)]  # one event each ten minutes of three days
    times[150], times[10] = "soon", "later"  # unreadable times belong to no day
    users = [f"u{number % 20}" if number != 160 else None for number in range(len(times))]
    items = [f"i{number % 9}" if number != 170 else None for number in range(len(times))]
    pq.write_table(pa.table({"u": users, "i": items, "t": times}), tmp_path / "log.parquet")
    place = Workspace(str(tmp_path / "w"))
    recipe = recipe_of(tmp_path / "log.parquet")
    run, late = (StageRun("ingest", "k", recipe, place, f"ingest/{name}", lambda: spark, print) for name in "ab")
    run.days = run_days(DAYS[1])
    result = ingest.run(run)
    assert (result.rows["read"], result.rows["quarantined"], result.rows["real"]) == (143, 1, 142)
    assert result.metrics["days"]["asked"] == (DAYS[1], DAYS[1])
    found = run.read_own("real").selectExpr("min(event_time) as low", "max(event_time) as high").first()
    assert (found["low"].day, found["high"].day) == (2, 2)
    late.days = run_days("2026-12-01")
    with pytest.raises(ContractError, match=r"log\.parquet has no rows for 2026-12-01"):
        ingest.run(late)


def test_generated_rows_carry_the_day_of_their_time(spark, tmp_path):
    recipe = recipe_of(tmp_path / "log", partition="dt")
    times = spark.createDataFrame([("2026-11-01 23:59:59",), ("2026-11-02 00:00:00",), (None,)], "time string")
    events = times.select(F.col("time").cast("timestamp").alias("event_time"), F.lit(0).alias(align.PLACE))
    blank = {name: F.lit(None).cast("string") for name in event_columns(()) if name not in ("event_time", "source")}
    run = StageRun("align", "k", recipe, Workspace(str(tmp_path / "w")), "align/a", lambda: spark, print)
    for kind in ("string", "date"):
        kinds = StructType.fromDDL(f"u string, i string, t bigint, dt {kind}")
        run.attempt = f"align/{kind}"
        found = align._written(run, events.withColumns(blank), kinds).select("source.dt").collect()
        assert {str(row["dt"]) for row in found} == {"2026-11-01", "2026-11-02", "None"}


class Made:
    """A workspace in which all stages before publish have run."""

    def __init__(self, spark, root):
        self.spark, self.place, self.said = spark, Workspace(str(root / "w")), []
        self.recipe = recipe_of(root / "log.parquet")

    def stage(self, name, key, rows=None, metrics=None, **tables):
        outputs = {}
        for table, content in tables.items():
            path = f"{name}/{key}/{table}"
            files.write_text(self.place.path(f"{path}/_SUCCESS"), "")
            pq.write_table(content, self.place.path(f"{path}/a.parquet"))
            outputs[table] = Output(path, content.num_rows)
        manifest = Manifest(stage=name, key=key, outputs=outputs, rows=rows or {}, metrics=metrics or {}, **ABOUT)
        self.place.commit(manifest)

    def mix(self, key, events, *, extra=None, shareable=False):
        """`events`: (row id, day number from 1, hour, origin)."""
        ids, days, hours, origins = zip(*events, strict=True)
        times = [FIRST + dt.timedelta(days=day - 1, hours=hour) for day, hour in zip(days, hours, strict=True)]
        users = [f"{key if origin == 'generated' else 'u'}-{one}" for one, _, _, origin in events]
        source = pa.StructArray.from_arrays([pa.array(users), pa.array(ids)], ["u", "i"])
        mixed = {"row_id": pa.array(ids, pa.int64()), "user_id": users, "item_id": [str(one) for one in ids]}
        mixed |= {"event_time": pa.array(times, pa.timestamp("us", "UTC")), "label": [1] * len(ids), "source": source}
        mixed |= {"origin": list(origins), "op": ["x"] * len(ids), "parent_id": pa.nulls(len(ids), pa.int64())}
        mixed |= {"weight": [1.0] * len(ids), "run_id": [key] * len(ids)} | (extra or {})
        sides = {"items": pa.table({"item_id": [str(one) for one in ids], "from": [key] * len(ids)})}
        sides |= {"users": pa.table({"user_id": [f"u-{one}" for one in ids], "from": [key] * len(ids)})}
        new = sorted({user for user in users if not user.startswith("u-")})
        runs = pa.array([key] * len(new), pa.string())
        self.stage("ingest", key, **sides)
        self.stage("align", key, users=pa.table({"user_id": pa.array(new, pa.string()), "from": runs}))
        self.stage("augment", key)
        self.stage("sample", key)
        metrics = {"shareable": shareable}
        self.stage("mix", key, dict(Counter(origins)), metrics, mixed=pa.table(mixed))
        files.write_text(self.place.path(f"evaluate/{key}/report/report.html"), "")
        files.write_json(self.place.path(f"evaluate/{key}/report/report.json"), drawn_report())
        self.place.commit(Manifest("evaluate", key, outputs={"report": Output(f"evaluate/{key}/report")}, **ABOUT))

    def publish(self, key, *days):
        attempt = self.place.new_attempt("publish")
        run = StageRun("publish", key, self.recipe, self.place, attempt, lambda: self.spark, self.said.append)
        run.days = run_days(*days) if days else None
        return publish.run(run).rows

    def published(self):
        """Day -> row ids, of the current version."""
        version = current_version(self.place)
        found = {}
        for folder in event_folders(self.place, version):
            for row in pq.ParquetDataset(folder).read(["row_id", "event_time"]).to_pylist():
                found.setdefault(f"{row['event_time']:%Y-%m-%d}", []).append(row["row_id"])
        return {day: sorted(rows) for day, rows in sorted(found.items())}

    def side(self, name):
        table = pq.read_table(self.place.path(f"{current_version(self.place).path}/{name}"))
        return dict(zip(table.column(0).to_pylist(), table.column("from").to_pylist(), strict=True))


@pytest.fixture
def made(spark, tmp_path):
    return Made(spark, tmp_path)


def test_days_of_a_run_replace_those_of_the_version_and_no_others(made, tmp_path):
    made.mix("x", [(1, 1, 0, "real"), (2, 2, 5, "real"), (3, 2, 6, "generated"), (4, 3, 23, "real")])
    assert made.publish("x", *DAYS[:3]) == {"published": 4, "new": 4, "outside_days": 0}
    # day 2 again, day 4 for the first time without a row; of what was made, one row lies in day 3 and one after all
    made.mix("y", [(2, 2, 5, "real"), (5, 2, 7, "real"), (6, 3, 1, "generated"), (7, 9, 1, "augmented")])
    assert made.publish("y", DAYS[1], DAYS[3]) == {"published": 4, "new": 2, "outside_days": 2}
    assert made.published() == {DAYS[0]: [1], DAYS[1]: [2, 5], DAYS[2]: [4]}
    days = current_version(made.place).days
    assert (sorted(days), days[DAYS[3]].folder, days[DAYS[3]].rows) == (DAYS[:4], None, 0)
    assert made.side("items") == {"1": "x", "2": "y", "3": "x", "4": "x", "5": "y", "6": "y", "7": "y"}
    assert made.side("users") == {
        "u-1": "x", "u-2": "y", "u-3": "x", "u-4": "x", "u-5": "y", "u-6": "y", "u-7": "y", "x-3": "x", "y-6": "y"
    }  # fmt: skip
    assert export_table(made.place, "published", str(tmp_path / "o.parquet"), part=None, adds_label=False) == 4
    again = current_version(made.place)
    assert made.publish("y", DAYS[1], DAYS[3])["published"] == 4
    assert current_version(made.place) == again


def test_a_whole_version_is_split_by_day_once_and_a_whole_one_replaces_all_days(made):
    made.mix("w", [(1, 1, 0, "real"), (2, 2, 5, "real"), (3, 2, 6, "generated"), (4, 3, 23, "real")])
    made.publish("w")
    made.mix("x", [(5, 2, 0, "real")])
    made.publish("x", DAYS[1])
    assert made.published() == {DAYS[0]: [1], DAYS[1]: [5], DAYS[2]: [4]}
    days = current_version(made.place).days
    assert [days[day].source is None for day in DAYS[:3]] == [True, False, True]
    made.mix("z", [(9, 5, 0, "real")])
    made.publish("z")
    assert made.published() == {DAYS[4]: [9]}
    assert any("replaces version 2 by days, and all of its 3 days" in line for line in made.said)


def test_a_version_that_has_become_shareable_day_by_day_holds_no_real_user(made):
    made.mix("x", [(1, 1, 0, "real"), (2, 2, 5, "real")])
    made.publish("x", *DAYS[:2])
    made.mix("y", [(3, 1, 6, "generated")], shareable=True)
    made.publish("y", DAYS[0])
    assert set(made.side("users")) == {"u-1", "u-2", "y-3"}  # day 2 holds a real one still
    made.mix("z", [(4, 2, 6, "generated")], shareable=True)
    made.publish("z", DAYS[1])
    assert set(made.side("users")) == {"y-3", "z-4"}


def test_real_rows_outside_and_other_columns_are_refused_and_nothing_is_published(made):
    made.mix("x", [(1, 1, 0, "real")])
    made.publish("x", DAYS[0])
    made.mix("y", [(2, 2, 0, "real"), (3, 3, 0, "real")])
    with pytest.raises(ContractError, match="1 real rows lie outside the days of this run"):
        made.publish("y", DAYS[1])
    made.mix("y", [(2, 2, 0, "real")], extra={"order": pa.array([1], pa.int32())})
    with pytest.raises(PublishError, match=r"columns of events differ from those of the other days .* order: int32"):
        made.publish("y", DAYS[1])
    assert current_version(made.place).number == 1
    made.publish("y", DAYS[0], DAYS[1])  # no other day is left that could differ
    assert made.published() == {DAYS[1]: [2]}
