"""Public tabular generators in virtual environments of their own: fitted, sampled and timed.

Run as a program by such an environment's Python: `opponents.py TASK.json`. CTGAN and TVAE are licensed BUSL-1.1: they
are measured here and never part of the product.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

EPOCHS = 10  # of CTGAN and TVAE, whose cost an epoch is known in advance; their default of 300 takes hours
BUDGET_SHARE = 0.75  # of the time cap that TabularARGN, which takes a limit, may train


@dataclass(frozen=True)
class Opponent:
    """`home` is the folder of its environment, `unwanted` a package that must not be in it."""

    home: str
    requirement: str
    unwanted: str | None = None


OPPONENTS = {
    "ctgan": Opponent("ctgan", "ctgan==0.12.1"),
    "tvae": Opponent("ctgan", "ctgan==0.12.1"),
    "tabularargn": Opponent("mostlyai-engine", "mostlyai-engine==2.7.3", "torchvision"),  # it breaks the import
}


def environment(name: str, folder: Path) -> Path:
    """The Python of an opponent's environment below `folder`, made on first use with this project's torch."""
    wanted = OPPONENTS[name]
    home = folder / wanted.home
    python, stamp = home / "bin/python", home / "ready"
    torch = f"torch=={version('torch').partition('+')[0]}"
    if stamp.is_file() and stamp.read_text() == f"{wanted.requirement} {torch}":
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", wanted.requirement, torch, "pyarrow"], check=True)
    if wanted.unwanted is not None:
        subprocess.run([*pip, "uninstall", "--yes", wanted.unwanted], check=True)
    stamp.write_text(f"{wanted.requirement} {torch}")
    return python


def fit_and_sample(task: dict[str, Any]) -> None:
    """Reads task['train'], writes as many rows to task['out'] and the seconds of both steps to task['timings']."""
    import pandas as pd

    table = pd.read_parquet(task["train"])
    discrete = task["discrete"]
    started = time.monotonic()
    model = (_fitted_argn if task["name"] == "tabularargn" else _fitted_ctgan)(table, task)
    fitted = time.monotonic()
    made = model.sample(n_samples=len(table)) if task["name"] == "tabularargn" else model.sample(len(table))
    done = time.monotonic()
    for column in discrete:
        made[column] = made[column].astype("string")
    made.to_parquet(task["out"])
    Path(task["timings"]).write_text(json.dumps({"fit_s": fitted - started, "sample_s": done - fitted}))


def _fitted_ctgan(table: Any, task: dict[str, Any]) -> Any:
    """Nulls of numbers become the median, which ctgan asks for; those of values are text already."""
    import ctgan
    import torch

    torch.manual_seed(0)
    kind = ctgan.CTGAN if task["name"] == "ctgan" else ctgan.TVAE
    model = kind(epochs=EPOCHS, enable_gpu=False)
    numbers = [column for column in table.columns if column not in task["discrete"]]
    model.fit(table.assign(**{name: table[name].fillna(table[name].median()) for name in numbers}), task["discrete"])
    return model


def _fitted_argn(table: Any, task: dict[str, Any]) -> Any:
    """Without the protection that hides rare ids, so that it is judged at its best."""
    from mostlyai.engine import TabularARGN

    kinds = {c: "TABULAR_CATEGORICAL" if c in task["discrete"] else "TABULAR_NUMERIC_AUTO" for c in table.columns}
    limit = task["minutes"] * BUDGET_SHARE
    model = TabularARGN(max_training_time=limit, value_protection=False, tgt_encoding_types=kinds, random_state=0)
    model.fit(table)
    return model


if __name__ == "__main__":
    fit_and_sample(json.loads(Path(sys.argv[1]).read_text()))
