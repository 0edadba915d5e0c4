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
_UNJUDGED = {"reported": "only reported", "na": "not applicable"}


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
    counts = dict.fromkeys(("green", "amber", "red", "reported", "na"), 0)
    for row in rows:
        counts[row["grade"]] = counts.get(row["grade"], 0) + 1
    return {grade: count for grade, count in counts.items() if count}


def verdict(rows: Sequence[Mapping[str, Any]], origins: Mapping[str, int]) -> dict[str, Any]:
    """`publishable`; `sentence`, whether it may be published and why not; `findings`, what was found.

    Args:
        rows: the verdict table, as JSON.
        origins: rows of the mixed set by origin.
    """
    refused = [row for row in rows if row["refuses"]]
    counts = tally(rows)
    told = (
        f"{counts.get('green', 0)} meet the target, {counts.get('amber', 0)} the gate, {counts.get('red', 0)} neither"
    )
    told += "".join(f", {counts[grade]} {word}" for grade, word in _UNJUDGED.items() if grade in counts)
    if refused:
        named = ", ".join(f"{row['id']} {row['name']}" for row in refused)
        sentence = f"Not to be published: {named} failed ({told})."
    else:
        judged = sum(counts.get(grade, 0) for grade in ("green", "amber", "red"))
        sentence = f"Nothing blocks a publication: of {len(rows)} figures {told}."
        if not judged:
            sentence = f"Nothing blocks a publication, but none of {len(rows)} figures could be judged."
    parts = [_made(origins), _uplift(rows), _leaks(rows), _loosened(rows)]
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


def _uplift(rows: Sequence[Mapping[str, Any]]) -> str:
    """Gains whose interval lies above 0, and harm whose interval lies below; else that nothing was measured."""
    known = [row for row in rows if row["id"] == "U3" and row["grade"] != "na" and row["interval"]]
    clear = [row for row in known if row["interval"][0] > 0 or row["interval"][1] < 0]
    parts = [_gain(row) for row in clear]
    if len(clear) < len(known):
        others = ", ".join(row["name"] for row in known if row not in clear)
        parts.append(f"no measurable uplift in {others}" if clear else "no measurable uplift")
    return ", ".join(parts)


def _gain(row: Mapping[str, Any]) -> str:
    """A gain with its interval: relative where the row's unit is a share, else as it is."""
    low, high = row["interval"]
    harm = "harm, " if high < 0 else ""
    if not row["value"] or not row["ceiling"]:
        return f"{harm}{row['name']} (95 % interval {low:+.4f} to {high:+.4f})"
    if row["unit"] != "share":
        return f"{harm}{row['name']} {row['value'] - row['ceiling']:+.4f} (95 % interval {low:+.4f} to {high:+.4f})"
    gain = row["value"] / row["ceiling"] - 1
    return f"{harm}{row['name']} {gain * 100:+.1f} % (95 % interval {low * 100:+.1f} to {high * 100:+.1f} %)"


def _leaks(rows: Sequence[Mapping[str, Any]]) -> str:
    """Whether a row P is red, those apart that may not refuse; what was not tested is not called clean."""
    tested = [row for row in rows if row["id"].startswith("P") and row["grade"] != "na"]
    red = [row for row in tested if row["grade"] == "red"]
    leaks, graded = (
        [f"{row['id']} {row['name']}" for row in red if bool(row["blocks"]) == blocks] for blocks in (True, False)
    )
    clean = list(dict.fromkeys(row["id"] for row in tested if row not in red))
    parts = [f"a leak shows in {', '.join(leaks)}"] if leaks else []
    parts += [f"no leak found by {', '.join(clean)}"] if clean and not leaks else []
    parts += [f"beyond their gates, but only graded: {', '.join(graded)}"] if graded else []
    return "; ".join(parts) or "leaks could not be tested"


def _loosened(rows: Sequence[Mapping[str, Any]]) -> str:
    loose = [f"{row['id']} {row['name']}" for row in rows if row.get("loosened")]
    return f"loosened by the recipe: {', '.join(loose)}" if loose else ""
