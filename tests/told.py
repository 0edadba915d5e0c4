"""Manifests as stages leave them, for what reads their figures."""

from clickweave.contracts.manifest import Manifest

COPIES = {"before": 0.02, "after": 0.001, "reference": 0.001, "copies": 480, "dropped": 456}
STEPS = {
    "numbers": {"before": {"feature_price": 0.2}, "after": {"feature_price": 0.01}},
    "labels": {
        "before": {"overall": 0.3, "by_position": 0.31},
        "after": {"overall": 0.01, "by_position": 0.02},
        "moved_share": 0.04,
        "wanted_share": 0.04,
    },
    "refinement": {"before": 0.08, "after": 0.05, "ceiling": 0.03, "strength": 1.0, "wanted": 1000},
    "privacy": {
        "private_values": {"before": 12, "after": 0},
        "copies": COPIES,
        "copies_any_time": COPIES,
        "near": COPIES | {"distance": 0.01},
    },
    "weights": {"before": 0.61, "after": 0.52},
}
TARGETS = [
    {
        "name": "cold_items", "values": 6, "real": 3, "real_least": 0, "real_most": 1, "asked": 42, "drawn": 42,
        "accepted": 42,
    },
    {
        "name": "where", "values": 2, "real": 900, "real_least": 90, "real_most": 810, "asked": 90, "drawn": 700,
        "accepted": 85,
    },
]  # fmt: skip
RATIO = {
    "chosen": 0.5,
    "reason": "the least that helps: +0.0123 AUC on reference",
    "metric": "auc",
    "tried": [
        {"ratio": ratio, "auc": 0.7 + ratio / 50, "gain": ratio / 60, "gain_low": ratio / 60 - 0.005}
        for ratio in (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
    ],
}


def manifest(stage, **told):
    about = {"key": "k", "run_id": "k", "seed": 0, "config_hash": "", "code_version": "", "inputs": {}, "outputs": {}}
    return Manifest(stage=stage, **about, **told)


def full_manifests():
    """One of each stage that a report tells of, with every figure there is."""
    operators = {"crop+substitute": 300, "negatives": 2400}
    left_out = {"crop+substitute": 1700, "negatives": 0}
    mixed = {"in": 2400, "synthetic": 1500, "real": 2400, "augmented": 2700, "generated": 1195}
    return {
        "augment": manifest(
            "augment", rows={"in": 2400, "added": 2700} | operators, metrics={"adds_label": False, "left_out": left_out}
        ),
        "sample": manifest("sample", rows={"wanted": 1400, "sampled": 1527}, metrics={"targets": TARGETS}),
        "align": manifest(
            "align",
            rows={"in": 1527, "synthetic": 1500},
            metrics={"replaced_texts": {"query": 3}, "targets": {"0": 40, "1": 80}, "steps": STEPS},
        ),
        "mix": manifest(
            "mix", rows=mixed, metrics={"strategy": "share", "shareable": False, "asked": "auto", "ratio": RATIO}
        ),
    }
