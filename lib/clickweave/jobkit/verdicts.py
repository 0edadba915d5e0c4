"""The verdict table of a report, for the terminal."""

import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clickweave.evaluation.render import bound, figure

_COLOURS = {"green": "green", "amber": "yellow", "red": "red", "na": "dim", "reported": "default"}


def print_verdicts(report: dict[str, Any]) -> None:
    """Prints one line per row of the report to standard output: value, ceiling, gate, grade and whether it blocks."""
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120, highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("row", "what", "figure", "real rows", "gate", "grade", "may refuse"):
        table.add_column(name, no_wrap=name != "what")
    for row in report["rows"]:
        grade = Text("not applicable" if row["grade"] == "na" else row["grade"], style=_COLOURS[row["grade"]])
        score, ceiling = figure(row["score"], row["unit"]), figure(row["ceiling"], row["unit"])
        blocks = "yes" if row["blocks"] else ""
        table.add_row(row["id"], row["name"], score, ceiling, bound(row, "gate"), grade, blocks)
    console.print(report["verdict"]["sentence"])
    console.print(table)
