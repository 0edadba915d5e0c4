import json
import re

import pytest
from markupsafe import escape
from schemas import problems, report_schema
from told import full_manifests

from clickweave.config.stages import EvaluateConfig
from clickweave.evaluation.gates import blocking_failures
from clickweave.evaluation.metrics import HOLDS_REAL
from clickweave.evaluation.page.render import render_html
from clickweave.evaluation.report import build_report
from clickweave.evaluation.samples import draw_samples
from clickweave.evaluation.utility import more_real

RUN = {"dataset": "<script>alert(2)</script>", "stages": [{"stage": "ingest", "seconds": 1.5}]}
HISTORY = {"history": [{"epoch": 1, "train_loss": 3.0, "validation_loss": 3.1}, {"epoch": 2, "train_loss": 2.0}]}


def _rows(report):
    return {row["name"]: row for row in report["rows"]}


@pytest.fixture(scope="module")
def fresh_report(make_inputs, fresh):
    return build_report(make_inputs(fresh, run=RUN, training=HISTORY, manifests=full_manifests()))


def test_perfect_generator_is_publishable_and_near_its_ceilings(fresh_report):
    rows = _rows(fresh_report)
    assert fresh_report["verdict"]["publishable"]
    assert rows["column shapes"]["score"] > 0.97
    assert rows["classifier on rows"]["score"] < 0.05
    assert rows["train on S, test on H"]["score"] > 0.8
    assert rows["hard rules"]["value"] == 1.0


def test_controls_fail_where_they_must(fresh_report):
    rows = _rows(fresh_report)
    assert rows["classifier on rows"]["control_grades"]["independent"] == "red"
    assert rows["train on S, test on H"]["control_grades"]["independent"] == "red"
    assert rows["copied rows"]["control_grades"]["bootstrap"] == "red"


def test_copies_refuse_publication_unless_the_recipe_says_grade(make_inputs, copied):
    report = build_report(make_inputs(copied))
    assert not report["verdict"]["publishable"]
    assert any("copied rows" in line for line in blocking_failures(report))


def test_copies_are_graded_where_the_recipe_says_so(make_inputs, copied):
    config = EvaluateConfig(sample_rows=100, utility_seeds=1, utility="off", gates={"P1": "grade"})
    report = build_report(make_inputs(copied, config=config))
    assert not any("P1" in line for line in blocking_failures(report))
    membership = _rows(report)["membership AUC"]  # real users' own rows are in the mix
    assert (membership["grade"], membership["blocks"]) == ("red", False)
    assert membership["note"].endswith(HOLDS_REAL)


def test_zero_synthetic_rows_are_a_legal_answer(make_inputs):
    report = build_report(make_inputs())
    assert {row["grade"] for row in report["rows"]} == {"na"}
    assert report["verdict"]["publishable"]
    page = render_html(report)
    assert "not applicable" in page
    assert 'id="did-' not in page


def test_empty_holdout_says_not_applicable(make_inputs, fresh, toy):
    report = build_report(make_inputs(fresh, holdout=toy(1, 2, "h").head(0)))
    unneeding = ("F7", "P4")  # these need no H
    grades = {row["id"]: row["grade"] for row in report["rows"] if row["id"] not in unneeding}
    assert {key for key, grade in grades.items() if grade != "na"} == {"F8"}
    fidelity, utility = ("F1", "F2", "F3", "F4", "F5", "F6", "F8"), ("U1", "U2", "U3", "U4", "R1", "D1")
    assert set(grades) == {*fidelity, *utility, "P1", "P2", "P3"}
    render_html(report)


def test_a_mix_of_generated_rows_alone_is_no_uplift_of_real_ones(make_inputs, fresh, to_table):
    config = EvaluateConfig(sample_rows=400, utility_seeds=1, utility="off")
    report = build_report(make_inputs(fresh, mixed=to_table(fresh), config=config))
    row = _rows(report)["uplift of the mixed set"]
    assert (row["grade"], row["note"]) == ("na", "not applicable: the mixed set holds no real rows")
    assert _rows(report)["membership AUC"]["blocks"]


def test_log_without_negatives_has_no_click_model(make_inputs, toy):
    all_liked = [
        toy(120, n, p, o).assign(label=1, feature_stars=5.0)
        for n, p, o in ((1, "u", "real"), (2, "h", "real"), (3, "s", "generated"))
    ]
    report = build_report(make_inputs(all_liked[2], train=all_liked[0], holdout=all_liked[1]))
    row = _rows(report)["train on S, test on H"]
    assert row["grade"] == "na"
    assert "every row is a positive" in row["note"]


def test_report_is_json_and_the_same_on_any_partitioning(make_inputs, fresh, fresh_report):
    inputs = make_inputs(fresh, run=RUN, training=HISTORY, manifests=full_manifests())
    tables = {name: getattr(inputs, name).repartition(7) for name in ("train", "holdout", "synthetic", "mixed")}
    again = build_report(type(inputs)(**{**vars(inputs), **tables}))
    plain = [json.dumps({**report, "seconds": None}, allow_nan=False) for report in (fresh_report, again)]
    assert plain[0] == plain[1]


def test_page_is_self_contained_small_and_escapes_hostile_names(fresh_report):
    page = render_html(json.loads(json.dumps(fresh_report)))
    assert len(page.encode()) < 2_000_000
    assert "<script" not in page
    assert "&lt;script&gt;alert(2)" in page
    assert not re.search(r"(src|href|url)\s*[=(]", page.replace('href="#', ""))
    assert "http" not in page.replace("http-equiv", "")
    for word in ("Rows in two dimensions", "Training", "Columns one by one", "Label rate by position", "Hard rules"):
        assert word in page


def test_reports_are_what_the_schema_says(fresh_report, make_inputs):
    for report in (fresh_report, build_report(make_inputs())):
        assert problems(json.loads(json.dumps(report)), report_schema()) == []


def test_page_draws_sessions_popularity_and_flow(fresh_report):
    page = render_html(fresh_report)
    for section in ("popularity", "rhythm", "flow", "positions", "training", "lineage"):
        assert f'<section id="{section}"' in page


def test_page_tells_what_the_stages_did(fresh_report):
    page = render_html(fresh_report)
    for part in ("augment", "targets", "align", "mix", "ratios"):
        assert page.count(f'id="did-{part}"') == 1
    for row in fresh_report["stages"]["align"]:
        assert row["what"] in page
        assert escape(row["good"]) in page
    assert "AUC by ratio" in page


def test_constant_and_all_null_columns_are_no_evidence(fresh_report):
    assert set(fresh_report["details"]["F1"]["columns"]) == {
        "label", "position", "stars", "device", "time", "hour of day",
    }  # fmt: skip


def test_samples_are_bounded_and_seeded(make_inputs, fresh):
    config = EvaluateConfig(sample_rows=300)
    one, two = (draw_samples(make_inputs(fresh, config=config)) for _ in range(2))
    other = draw_samples(make_inputs(fresh, config=config.model_copy(update={"seed": 1})))
    assert len(one.train) == len(one.synthetic) == 300
    assert one.train["row_id"].tolist() == two.train["row_id"].tolist() != other.train["row_id"].tolist()


def test_repeated_rows_know_all_of_a_log_larger_than_the_sample(make_inputs, copied):
    config = EvaluateConfig(sample_rows=600, utility_seeds=1)
    samples = draw_samples(make_inputs(copied, config=config))
    again = more_real(samples, 600, 600, train_rows=2400)
    arm = set(samples.train["row_id"])
    assert len(again) == 600
    assert again["row_id"].isin(arm).sum() == 150  # 600 of 2400 rows are the arm's, so a quarter of the draw is
