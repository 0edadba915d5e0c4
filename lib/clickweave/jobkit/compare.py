"""Two runs side by side: their verdict tables, and the settings in which their recipes differ."""

from collections.abc import Iterator, Mapping
from typing import Any

from clickweave.errors import ContractError
from clickweave.jobkit.verdicts import graded, make_table, print_lines, score_of
from clickweave.store import files
from clickweave.store.workspace import Workspace

Report = Mapping[str, Any]
_NOT_THERE = "(not set)"


def read_report(place: str) -> dict[str, Any]:
    """The report of a workspace, of a published version's folder, or in a report.json itself.

    Raises:
        ContractError: there is none, or it is no report.
    """
    workspace = Workspace(place)
    if place.endswith(".json"):
        path = place
    elif files.exists(workspace.path("report.json")):
        path = workspace.path("report.json")
    elif workspace.manifest("evaluate") is not None:
        path = f"{workspace.output('evaluate', 'report')}/report.json"
    else:
        raise ContractError(
            f"compare: {place} is neither a report.json, nor a published version, nor a workspace with an evaluation"
        )
    report = files.read_json(path)
    if not (isinstance(report, dict) and {"rows", "verdict", "run"} <= set(report)):
        raise ContractError(f"compare: {path} is no report of clickweave; it has no rows, verdict and run")
    return report


def print_comparison(first: Report, second: Report, names: tuple[str, str]) -> None:
    """Prints what A and B are, their verdicts, a line per figure with both scores, grades and the difference, and the
    settings that differ.
    """
    for letter, name, report in zip("AB", names, (first, second), strict=True):
        print_lines(f"{letter}: {name}", f"   {report['verdict']['sentence']}")
    rows = _by_name(first), _by_name(second)
    table = make_table("row", "what", "A", "grade A", "B", "grade B", "B - A")
    for key in {**rows[0], **rows[1]}:
        ours, theirs = (side.get(key) for side in rows)
        change = _change(ours, theirs)
        table.add_row(*key, score_of(ours), graded(ours), score_of(theirs), graded(theirs), change)
    print_lines(table)
    _print_settings(*[report["run"].get("settings") for report in (first, second)])


def _print_settings(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> None:
    if first is None or second is None:
        print_lines("settings: a report does not tell them, as beside a version that may be shared")
        return
    changes = list(differences(first, second))
    print_lines("settings that differ:" if changes else "no setting differs")
    if changes:
        table = make_table("setting", "A", "B", wraps=("setting", "A", "B"))
        for name, ours, theirs in changes:
            table.add_row(name, str(ours), str(theirs))
        print_lines(table)


def differences(first: Any, second: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(section.key, A's value, B's value) of each setting that is not the same in both."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in {**first, **second}:
            inner = f"{place}.{key}" if place else str(key)
            yield from differences(_of(first, key, second), _of(second, key, first), inner)
    elif first != second:
        yield place, first, second


def _of(side: Mapping[str, Any], key: str, other: Mapping[str, Any]) -> Any:
    """A side's value; where it has none and the other side has a section, an empty one, so that each key is told."""
    return side.get(key, {} if isinstance(other.get(key), Mapping) else _NOT_THERE)


def _by_name(report: Report) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(row["id"], row["name"]): row for row in report["rows"]}


def _change(ours: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None) -> str:
    """The difference of two scores, in points of per cent for shares."""
    if ours is None or theirs is None or ours["score"] is None or theirs["score"] is None:
        return ""
    change = theirs["score"] - ours["score"]
    return f"{change * 100:+.2f} pp" if ours["unit"] == "share" else f"{change:+.4f}"
