"""The verdict in plain sentences, built from the rows that exist; nothing is claimed that no interval shows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clickweave.contracts.tables import REAL

GROUPS = {  # the first letter of a row's id, or the whole id
    "F": ("Fidelity", "does it look like the real log?"),
    "F8": ("Hard rules", "does it keep the rules that every real row keeps?"),
    "U": ("Utility", "do models that learn from it do better?"),
    "R": ("Robustness", "do they stay as good where the data changes?"),
    "D": ("Diversity", "do their recommendations stay as varied?"),
    "P": ("Privacy", "does it give real people away?"),
}
_OTHERS = ("Other figures", "")


def grouped(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the verdict table by group, in the order of GROUPS; each {name, asks, rows, tally}.

    A row belongs to the group of its whole id where there is one, else of its first letter.
    """
    found: dict[str, list[Mapping[str, Any]]] = {key: [] for key in (*GROUPS, "")}
    for row in rows:
        key = next((key for key in (row["id"], row["id"][:1]) if key in GROUPS), "")
        found[key].append(row)
    return [
        {"name": name, "asks": asks, "rows": kept, "tally": tally(kept)}
        for key, kept in found.items()
        if kept
        for name, asks in [GROUPS.get(key, _OTHERS)]
    ]


def tally(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many rows have each grade; grades that none has are left out."""
    counts = dict.fromkeys(("green", "amber", "red", "na"), 0)
    for row in rows:
        counts[row["grade"]] = counts.get(row["grade"], 0) + 1
    return {grade: count for grade, count in counts.items() if count}


def verdict(
    rows: Sequence[Mapping[str, Any]], origins: Mapping[str, int], uplift: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """`publishable`; `sentence`, whether it may be published and why not; `findings`, what was found.

    Args:
        rows: the verdict table, as JSON.
        origins: rows of the mixed set by origin.
        uplift: gains by slice with their intervals, as the picture shows them.
    """
    refused = [row for row in rows if row["refuses"]]
    counts = tally(rows)
    told = (
        f"{counts.get('green', 0)} meet the target, {counts.get('amber', 0)} the gate, {counts.get('red', 0)} neither"
    )
    told += f", {counts['na']} not applicable" if "na" in counts else ""
    if refused:
        named = ", ".join(f"{row['id']} {row['name']}" for row in refused)
        sentence = f"Not to be published: {named} failed ({told})."
    else:
        sentence = f"Nothing blocks a publication: of {len(rows)} figures {told}."
    parts = [_made(origins), _uplift(rows, uplift or {}), _leaks(rows), _loosened(rows)]
    findings = "; ".join(part for part in parts if part)
    findings = findings[:1].upper() + findings[1:] + "."
    return {"publishable": not refused, "sentence": sentence, "findings": findings}


def _made(origins: Mapping[str, int]) -> str:
    """How much was added to the real rows."""
    real, extra = origins.get(REAL, 0), {k: v for k, v in origins.items() if k != REAL and v}
    if not extra:
        return "the mixed set holds real rows alone"
    if not real:
        return "the mixed set holds no real rows"
    return "the mixed set has per real row " + ", ".join(f"{rows / real:.3g} {name}" for name, rows in extra.items())


def _uplift(rows: Sequence[Mapping[str, Any]], uplift: Mapping[str, Any]) -> str:
    """Gains whose interval lies above 0, harm whose interval lies below; else that nothing was measured."""
    share, metric = uplift.get("unit", "share") == "share", uplift.get("metric", "")
    slices = uplift.get("slices", [])
    parts = [_gain(row, metric, share=share) for row in slices if row["low"] > 0 or row["high"] < 0]
    parts += [
        f"{'harm' if row['interval'][1] < 0 else 'uplift'} overall in {row['id']} {row['name']} "
        f"({row['interval'][0]:+.4f} to {row['interval'][1]:+.4f})"
        for row in _measured(rows)
        if row["interval"][0] > 0 or row["interval"][1] < 0
    ]
    unclear = any(row["interval"][0] <= 0 <= row["interval"][1] for row in _measured(rows))
    if unclear:
        parts.append("no measurable uplift overall" if parts else "no measurable uplift")
    elif slices and not parts:
        parts.append("no measurable uplift")
    return ", ".join(parts)


def _measured(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["id"] == "U3" and row["grade"] != "na" and row["interval"]]


def _gain(row: Mapping[str, Any], metric: str, *, share: bool) -> str:
    size, unit, digits = (100, " %", 1) if share else (1, "", 4)
    gain, low, high = (f"{row[key] * size:+.{digits}f}" for key in ("gain", "low", "high"))
    said = "harm: " if row["high"] < 0 else ""
    return f"{said}{metric} of {row['name']} {gain}{unit} (95 % interval {low} to {high})"


def _leaks(rows: Sequence[Mapping[str, Any]]) -> str:
    """Whether a row P is red; what was not tested is not called clean."""
    tested = [row for row in rows if row["id"].startswith("P") and row["grade"] != "na"]
    red = [f"{row['id']} {row['name']}" for row in tested if row["grade"] == "red"]
    if red:
        return f"a leak shows in {', '.join(red)}"
    ids = list(dict.fromkeys(row["id"] for row in tested))
    return f"no leak found by {', '.join(ids)}" if ids else "leaks could not be tested"


def _loosened(rows: Sequence[Mapping[str, Any]]) -> str:
    loose = [f"{row['id']} {row['name']}" for row in rows if row.get("loosened")]
    return f"loosened by the recipe: {', '.join(loose)}" if loose else ""
