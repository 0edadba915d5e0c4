"""The verdict table of a report, for the terminal: at most 100 columns wide, in colour on a terminal alone."""

import sys
from collections.abc import Collection, Mapping
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from clickweave.evaluation.page.figures import bound, figure

WIDTH = 100
_COLOURS = {"green": "green", "amber": "yellow", "red": "red", "na": "dim", "reported": "default"}


def print_verdicts(report: dict[str, Any]) -> None:
    """Prints the verdict and one line per row of the report: figure, ceiling, gate, target, grade and whether it
    blocks.
    """
    table = make_table("row", "what", "figure", "real rows", "gate", "target", "grade", "may refuse")
    for row in report["rows"]:
        ceiling = figure(row["ceiling"], row["unit"])
        blocks = "yes" if row["blocks"] else ""
        gate = bound(row, "gate") + (" loosened" if row.get("loosened") else "")
        table.add_row(row["id"], row["name"], score_of(row), ceiling, gate, bound(row, "target"), graded(row), blocks)
    verdict = report["verdict"]
    print_lines(verdict["sentence"], *([verdict["findings"]] if "findings" in verdict else []), table)


def print_lines(*parts: RenderableType) -> None:
    """Prints texts and tables to standard output as it is now; without colour where that is no terminal."""
    narrow = min(WIDTH, Console(file=sys.stdout).width) if sys.stdout.isatty() else WIDTH
    console = Console(file=sys.stdout, width=narrow, highlight=False, markup=False)
    for part in parts:
        console.print(part)


def make_table(*columns: str, wraps: Collection[str] = ("what",)) -> Table:
    """An empty table without lines; the columns in `wraps` break where it gets too wide."""
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=name not in wraps, overflow="fold")
    return table


def graded(row: Mapping[str, Any] | None) -> Text:
    """A row's grade in its colour; empty for no row."""
    if row is None:
        return Text("")
    return Text("not applicable" if row["grade"] == "na" else row["grade"], style=_COLOURS.get(row["grade"], ""))


def score_of(row: Mapping[str, Any] | None) -> str:
    """A row's score in its unit; empty for no row."""
    return "" if row is None else figure(row["score"], row["unit"])
