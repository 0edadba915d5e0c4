"""What stands for evaluate where a test is about publish."""

from types import SimpleNamespace

from clickweave.store import files


def drawn_report():
    """A report with a point of a real row, a value of one user, and a lonely row in steps."""
    bars = {"names": ["often", "u3"], "users": [9, 1], "shares": {"train": [0.9, 0.1], "synthetic": [1.0, 0.0]}}
    steps = {"edges": [-9.87654321, 0, 9], "shares": {"train": [0.02, 0.98], "synthetic": [0.5, 0.5]}, "is_day": False}
    window = [[-10, 10], [-10, 10]]
    return {
        "schema_version": 1,
        "verdict": {"publishable": True, "sentence": "Fine.", "findings": "Nothing."},
        "run": {},
        "rows": [],
        "lineage": [],
        "counts": {"train": 50, "holdout": 50, "synthetic": 50, "mixed": 50, "mixed_by_origin": {}},
        "details": {"F7": {}, "U1": {"arms": {}}, "F8": {}},
        "sample": {"rows_a_side": 50, "seed": 0},
        "stages": {},
        "seconds": {},
        "pictures": {
            "scatter": {"kinds": {"real": [[0.123, -4.56]]}, "explained": [0.5, 0.2], "window": window},
            "marginals": [{"title": "city", "kind": "bars", **bars}, {"title": "price", "kind": "steps", **steps}],
            "losses": [],
        },
    }


def judged(step):
    """A stage in place of evaluate that finds nothing wrong and draws real rows."""
    folder = step.file("report")
    files.write_json(f"{folder}/report.json", drawn_report())
    files.write_text(f"{folder}/report.html", "")
    return SimpleNamespace(rows={})


def rekeyed(step, name):
    """The step as a run of its own, so that each publishes its own version."""
    step.key = f"publish {name}"
    return step
