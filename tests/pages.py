"""Reports as evaluate makes them, made up: one with every picture there is, and one with none."""

import math

from told import full_manifests

from clickweave.config.gates import GateChange
from clickweave.evaluation.gates import GATES, as_json, judged, not_applicable
from clickweave.evaluation.policy import apply_policy
from clickweave.evaluation.stage_figures import what_stages_did
from clickweave.evaluation.verdict import verdict

HOSTILE = '"><script>alert(1)</script>'
SIDES = ("train", "synthetic", "holdout")
MOVED = {  # F1 is easier to pass than by default, F3 harder, and leaks refuse nothing
    "F1": GateChange(gate=0.9),
    "F3 column pairs": GateChange(gate=0.99, target=0.999),
    "P1": "grade",
}
SCORES = {
    "column shapes": 0.994, "column pairs": 0.989, "classifier on rows": 0.031, "label rate": 0.003,
    "label rate by position": 0.031, "position curve": 0.074, "hard rules": 1.0, "train on S, test on H": 0.968,
    "copied rows": -0.4, "copied 5-grams": 0.7, "copied rows, any time": 3.2,
}  # fmt: skip


def verdict_rows(overrides=None):
    """A row per gate, with ceilings and controls."""
    rows = []
    for name, gate in GATES.items():
        if name == "uplift of the mixed set":
            note = "no measurable uplift: +0.0011 AUC over repeated rows"
            rows.append(judged(name, -0.0004, value=0.7312, ceiling=0.7301, interval=(-0.0004, 0.0027), note=note))
        elif name == "copied 5-grams":
            rows.append(not_applicable(name, "the log has no sequence of items in time by one user"))
        else:
            score = SCORES.get(name, gate.target)
            rows.append(judged(name, score, ceiling=1.0, controls={"bootstrap": gate.target, "independent": score / 2}))
    return apply_policy(rows, overrides or {})


def full_report(overrides=None):
    """Every picture and table, with hostile and long names."""
    rows = [as_json(row) for row in verdict_rows(overrides)]
    origins = {"augmented": 12_000, "generated": 30_000, "real": 120_000}
    run = {"dataset": f"movielens {HOSTILE}", "generator": "journey", "run_id": "3f9c2a", "terms": "research only"}
    names = ("ingest", "augment", "encode", "train", "sample", "align", "mix")
    lineage = [
        {
            "stage": name,
            "seconds": 3.5 + 40 * (name == "train") + number,
            "rows_in": 120_000 + number,
            "rows_out": 118_000,
        }
        for number, name in enumerate(names)
    ]
    return {
        "schema_version": 1,
        "run": run,
        "counts": {
            "train": 120_000,
            "holdout": 30_000,
            "synthetic": 118_000,
            "mixed": 162_000,
            "mixed_by_origin": origins,
        },
        "rows": rows,
        "details": details(),
        "sample": {"rows_a_side": 20_000, "seed": 0},
        "pictures": pictures(),
        "lineage": lineage,
        "stages": what_stages_did(full_manifests()),
        "seconds": {"F1": 1.5},
        "verdict": verdict(rows, origins),
    }


def minimal_report():
    """Nothing generated, nothing to draw."""
    rows = [as_json(row) for row in apply_policy([not_applicable(name, "no synthetic rows") for name in GATES], {})]
    origins = {"real": 50}
    return {
        "schema_version": 1,
        "run": {},
        "counts": {"train": 50, "holdout": 0, "synthetic": 0, "mixed": 50, "mixed_by_origin": origins},
        "rows": rows,
        "details": {},
        "sample": {"rows_a_side": 0, "seed": 0},
        "pictures": {"scatter": {"kinds": {}, "explained": [], "window": []}, "marginals": [], "losses": []},
        "lineage": [],
        "stages": {},
        "seconds": {},
        "verdict": verdict(rows, origins),
    }


def details():
    arm = {"auc": 0.7312, "auc_interval": [0.7290, 0.7333], "logloss": 0.5012, "calibration": 1.02, "rows": 20_000}
    curve = {
        side: [[place, 0.3 / place**bias] for place in range(1, 21)]
        for side, bias in zip(SIDES, (0.8, 0.6, 0.79), strict=True)
    }
    rules = [{"rule": "an item's attributes are the catalogue's", "counts": True, "synthetic": 0, "train": 0}]
    return {
        "U1": {"arms": {"real": arm, "synthetic": arm, "mixed": arm}, "level": 1, "test_rows": 30_000, "seeds": 5},
        "F7": {"curves": curve, "rates": {}},
        "F8": {"rules": [*rules, {"rule": HOSTILE, "counts": False, "synthetic": 3, "train": 7}]},
        "F2": {"rank_frequency": {side: zipf(p) for side, p in zip(SIDES, (1.0, 1.15, 0.98), strict=True)}},
        "P3": {"attacks": attacks()},
        "ranking": ranking(),
    }


def pictures():
    wave = [[math.cos(i * 2.4) * i / 40, math.sin(i * 2.4) * i / 60] for i in range(300)]
    moved = {"real": 0.0, "generated": 0.4, "mixed": 0.2, "augmented": -0.3}
    kinds = {kind: [[x + by, y - by / 2] for x, y in wave] for kind, by in moved.items()}
    hours = [0.5 + math.sin(hour / 24 * math.tau) / 3 for hour in range(30)]
    return {
        "scatter": {"kinds": kinds, "explained": [0.31, 0.22], "window": [[-8, 8], [-5, 5]]},
        "marginals": [
            bars(),
            steps("price", [0.0, 99.5]),
            steps("time", [18_000.2, 18_400.9], is_day=True),
            steps("hour of day", [0.0, 24.0], heights=hours),
        ],
        "losses": losses(),
        "popularity": {"sides": {"train": zipf(1.0)}, "rows": {"train": 9_000}},
        "rhythm": rhythm(),
        "flow": flow(),
    }


def bars():
    names = ["phone", "desk", "a value with a name that is far too long to be shown", HOSTILE, "all others"]
    shares = {"train": [0.42, 0.3, 0.2, 0.05, 0.03], "synthetic": [0.45, 0.28, 0.19, 0.08, 0.0]}
    return {"title": "device", "kind": "bars", "names": names, "users": [90, 80, 70, 60, 0], "shares": shares}


def steps(title, ends, *, is_day=False, heights=None):
    heights = heights or [math.exp(-((place - 11) ** 2) / 60) for place in range(30)]
    edges = [ends[0] + (ends[1] - ends[0]) * place / 30 for place in range(31)]
    shares = {side: [h * (1 + number / 9) / sum(heights) for h in heights] for number, side in enumerate(SIDES)}
    return {"title": title, "kind": "steps", "edges": edges, "shares": shares, "is_day": is_day}


def losses():
    return [
        {
            "epoch": n,
            "train_loss": 3 / n + 1,
            "validation_loss": 3 / n + 1.2,
            "rank_losses": [3 / n + 1.02, 3 / n + 0.97],
        }
        for n in range(1, 13)
    ]


def zipf(power):
    ranks = sorted({round(10 ** (place / 10)) for place in range(31)})
    return [[rank, 0.1 / rank**power] for rank in ranks]


def rhythm():
    lengths = ["1", "2", "3", "4", "5", "6-7", "8-10", "11-15", "16-25", "26-50", "51+"]
    gaps = ["<1 s", "1 s", "10 s", "1 min", "10 min", "1 h", "6 h", "1 d", "7 d"]
    return {
        "session_length": {
            "title": "events per session", "of": "share of sessions", "labels": lengths,
            "rows": dict.fromkeys(SIDES, 9_000),
            "shares": {side: [0.3 * 0.7 ** (place + n / 9) for place in range(11)] for n, side in enumerate(SIDES)},
        },
        "gap": {
            "title": "time between events", "of": "share of gaps", "labels": gaps, "rows": dict.fromkeys(SIDES, 90_000),
            "shares": {
                side: [0.05, 0.1, 0.3 - n / 20, 0.25, 0.1, 0.05, 0.05, 0.06, 0.04] for n, side in enumerate(SIDES)
            },
        },
    }  # fmt: skip


def flow():
    names = ["Drama", "Comedy", "Action", "Thriller", "Science Fiction", "Children's", HOSTILE, "all others"]
    cells = [[1 / ((row + 1) * (column + 2)) + (row == column) / (row + 2) for column in range(8)] for row in range(8)]
    total = sum(map(sum, cells))
    real = [[value / total for value in row] for row in cells]
    flat = [[0.7 * value + 0.3 / 64 for value in row] for row in real]
    shares = {"train": real, "synthetic": flat, "holdout": real}
    return {"by": "item genre", "names": names, "rows": dict.fromkeys(SIDES, 90_000), "shares": shares}


def ranking():
    slices = {
        "cold_users": (0.08, 0.03, 0.13),
        "tail_items": (0.05, -0.01, 0.11),
        "head": (-0.02, -0.031, -0.008),
    }
    ratios = {r: (0.03 - (r - 0.5) ** 2 / 40, 0.005 - (r - 0.5) ** 2 / 40, 0.05) for r in (0.1, 0.25, 0.5, 1.0, 2.0)}
    mixed = gain("mixed", (0.004, -0.006, 0.013), slices={name: gain(name, one) for name, one in slices.items()})
    operators = [gain("real + crop+substitute", (0.01, 0.002, 0.02)), gain("real + negatives", (0.0, -0.01, 0.01))]
    return {
        "uplifts": [mixed, *operators, *[gain(f"real + {r:g} synthetic", one, ratio=r) for r, one in ratios.items()]],
        "slices": {name: {"users": 1_200, "targets": 9_000} for name in ("all", *slices)},
        "sparsity": [
            {"share": share, "real": ndcg(share**0.5 / 5), "with_extra": ndcg(share**0.3 / 5)}
            for share in (0.05, 0.1, 0.25, 0.5, 1.0)
        ],
    }


def gain(arm, figures, ratio=0.25, **more):
    relative, low, high = figures
    return {"arm": arm, "ratio": ratio, "relative": relative, "interval": [low, high], **more}


def ndcg(value):
    return {"ndcg": value, "interval": [value - 0.01, value + 0.012]}


def attacks():
    names = {"loss": 1.0, "nearest generated history": 0.93, "density over reference": 0.8}
    return {name: {"curve": [[x / 20, (x / 20) ** power] for x in range(21)]} for name, power in names.items()}
