"""What the report tells of the stages before: the figures of their manifests, and nothing where they have none."""

import pytest
from told import RATIO, full_manifests, manifest

from clickweave.evaluation.stage_figures import what_stages_did


def test_figures_are_those_of_the_manifests():
    did = what_stages_did(full_manifests())
    assert did["augment"] == [
        {"operator": "crop+substitute", "rows_in": 2400, "added": 300, "left_out": 1700},
        {"operator": "negatives", "rows_in": 2400, "added": 2400, "left_out": 0},
    ]
    assert [(row["asked"], row["accepted"], row["aligned"]) for row in did["targets"]] == [(42, 42, 40), (90, 85, 80)]
    rows = {row["what"]: row for row in did["align"]}
    assert len(rows) == 11
    assert {row["step"] for row in rows.values()} == {"numbers", "labels", "refinement", "privacy", "weights"}
    refined = rows["distance from reference"]
    assert (refined["before"], refined["after"], refined["reference"]) == (0.08, 0.05, 0.03)
    assert "gained 0.0300" in refined["good"]
    assert "456 of 480" in rows["near copies"]["good"]
    assert did["mix"] == {
        "strategy": "share",
        "rows": {"real": 2400, "augmented": 2700, "generated": 1195},
        "asked": "auto",
        "ratio": RATIO,
        "made": pytest.approx(1195 / 2400, abs=1e-6),
    }


def test_what_does_not_apply_is_absent():
    assert what_stages_did({}) == {}
    bare = {
        "augment": manifest("augment", rows={"in": 5, "added": 0}, metrics={"adds_label": False, "left_out": {}}),
        "sample": manifest("sample"),
        "align": manifest("align", metrics={"steps": {"privacy": {"near": {"note": "no numeric feature"}}}}),
        "mix": manifest("mix", rows={"in": 5, "generated": 4}, metrics={"strategy": "replace", "shareable": True}),
    }
    assert what_stages_did(bare) == {"mix": {"strategy": "replace", "rows": {"generated": 4}}}
