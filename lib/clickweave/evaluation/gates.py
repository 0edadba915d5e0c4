"""Rows of the verdict table: a figure, its ceiling and controls, and what the gates make of it.

green: meets the target. amber: meets the gate. red: misses the gate. na: cannot be said, with the reason in the note.
reported: a figure that no gate judges.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Grade = Literal["green", "amber", "red", "na", "reported"]
# broken hard rules, leaks and measured harm refuse a publication by default
BLOCKING_IDS = ("F8", "P1", "P2", "P3", "P4", "U3")
REPORTED_IDS = ("R1", "D1")  # no gate judges these


@dataclass(frozen=True)
class Gate:
    """What a figure must reach. `better` says which way; `unit` how it is printed (share, auc or number)."""

    id: str
    name: str
    better: Literal["high", "low"]
    gate: float
    target: float
    unit: Literal["share", "auc", "number"]
    about: str

    def grade(self, score: float) -> Grade:
        """The colour of a figure."""
        sign = 1.0 if self.better == "high" else -1.0
        if sign * score >= sign * self.target:
            return "green"
        return "amber" if sign * score >= sign * self.gate else "red"


GATES = {
    gate.name: gate
    for gate in (
        Gate("F1", "column shapes", "high", 0.97, 0.99, "share", "1 - TV or 1 - KS against H, mean, over that of T"),
        Gate("F2", "item frequencies", "high", 0.93, 0.98, "share", "1 - TV of items with 10 events, over that of T"),
        Gate("F2", "popularity bands", "low", 0.02, 0.005, "share", "TV of events per decile of T's, above that of T"),
        Gate("F2", "distinct items", "low", 0.1, 0.03, "share", "distinct ids over those of T, distance from 1"),
        Gate("F2", "invented items", "low", 0.0, 0.0, "number", "ids that neither T nor the catalogue has"),
        Gate("F3", "column pairs", "high", 0.985, 0.997, "share", "1 - TV of 2-d histograms against H, over that of T"),
        Gate("F4", "classifier on rows", "low", 0.05, 0.01, "auc", "AUC of telling S from H, minus that of T from H"),
        Gate("F5", "classifier on histories", "low", 0.1, 0.03, "auc", "F4's difference, on one row per user"),
        Gate("F6", "session length", "low", 0.05, 0.02, "share", "KS against H, above that of T or chance"),
        Gate("F6", "gap between events", "low", 0.05, 0.02, "share", "KS against H, above that of T or chance"),
        Gate("F6", "events per user", "low", 0.05, 0.02, "share", "KS against H, above that of T or chance"),
        Gate("F6", "category transitions", "high", 0.95, 0.99, "share", "1 - TV of pairs in time, over that of T"),
        Gate("F6", "repeat consumption", "low", 0.05, 0.01, "share", "error of the share of repeats, above T's"),
        Gate("F7", "label rate", "low", 0.02, 0.005, "share", "relative error against T over all rows"),
        Gate("F7", "label rate by position", "low", 0.05, 0.02, "share", "relative error, weighted by position"),
        Gate("F7", "position curve", "low", 0.05, 0.02, "share", "largest error of the curve, in units of its peak"),
        Gate("F8", "hard rules", "high", 1.0, 1.0, "share", "rows that break no rule"),
        Gate("U1", "train on S, test on H", "high", 0.95, 0.99, "share", "(AUC of S - 0.5) / (AUC of T - 0.5)"),
        Gate("U3", "uplift of the mixed set", "high", -0.0005, 0.0, "auc", "lower end of the interval of the AUC gain"),
        Gate("U2", "NDCG@10, train on S", "high", 0.85, 0.95, "share", "over models of T, mean of recommenders"),
        Gate("U2", "Recall@10, train on S", "high", 0.85, 0.95, "share", "over models of T, mean of recommenders"),
        Gate("U3", "ranking uplift", "high", -0.01, 0.0, "share", "lower end of the interval of the gain in NDCG@10"),
        Gate("U3", "ranking uplift, cold users", "high", -0.05, 0.1, "share", "the same for users of short histories"),
        Gate("U3", "ranking uplift, tail items", "high", -0.05, 0.1, "share", "the same for all but the top tenth"),
        Gate("U4", "agreement of recommenders", "high", 0.7, 0.9, "number", "Kendall tau of their order, T against S"),
        Gate("R1", "NDCG@10, items substituted", "high", 0.0, 0.0, "share", "change with 10 % of histories changed"),
        Gate("R1", "AUC, items substituted", "high", 0.0, 0.0, "auc", "change with 10 % of histories changed"),
        Gate("R1", "NDCG@10, future", "high", 0.0, 0.0, "share", "change from holdout users to later events"),
        Gate("R1", "AUC, future", "high", 0.0, 0.0, "auc", "change from holdout users to later events"),
        Gate("D1", "catalogue coverage@10", "high", 0.0, 0.0, "share", "items that are recommended to somebody"),
        Gate("D1", "Gini of exposure", "low", 0.0, 0.0, "number", "0: all items are recommended alike; 1: one alone"),
        Gate("D1", "intra-list distance", "high", 0.0, 0.0, "number", "1 - cosine of attributes inside a list"),
        Gate("P1", "copied rows", "low", 2.0, 0.0, "number", "share that stands in T, above H's, in standard errors"),
        Gate("P1", "copied 5-grams", "low", 2.0, 0.0, "number", "runs of one T user's own, above H's, in s.e."),
        Gate("P1", "copied rows, any time", "low", 2.0, 0.0, "number", "one T user's own, above H's, in s.e."),
        Gate("P2", "DCR share", "low", 0.52, 0.51, "share", "rows that lie nearer to T than to H of equal size"),
        Gate("P2", "DCR share, blended rows", "low", 0.52, 0.51, "share", "the same of blended rows"),
        Gate("P2", "NNDR ratio", "high", 0.5, 0.8, "number", "nearest over second distance to T, over that of H to T"),
        Gate("P2", "NNDR ratio, blended rows", "high", 0.5, 0.8, "number", "the same of blended rows"),
        Gate("P3", "membership AUC", "low", 0.55, 0.52, "auc", "users of T told from users of H, by the best attack"),
        Gate(
            "P3", "membership TPR", "low", 0.025, 0.012, "share", "users of T found where 1 % of H's are taken for them"
        ),
        Gate("P4", "rare values", "low", 0.0, 0.0, "number", "texts, queries, attributes of fewer than 5 users of T"),
        Gate("P4", "rare attribute pairs", "low", 0.0, 0.0, "number", "two attributes of fewer than 5 users of T"),
        Gate("P4", "rare attribute tuples", "low", 0.0, 0.0, "number", "all attributes of fewer than 5 users of T"),
    )
}


@dataclass(frozen=True)
class Row:
    """One line of the verdict table.

    Attributes:
        value: the figure for S. ceiling: the same for real rows. score: what is held against the gate.
        controls: scores of `bootstrap` and `independent`, as far as they can be measured.
        interval: 95 % interval of the score, where one is measured.
        blocks: whether red refuses a publication. refuses: whether it does now.
        default_gate, default_target: what a recipe put others in place of; None where it did not.
        loosened: whether the recipe made this easier to pass than it is by default.
    """

    id: str
    name: str
    value: float | None
    ceiling: float | None
    score: float | None
    controls: dict[str, float | None]
    grade: Grade
    note: str = ""
    interval: tuple[float, float] | None = None
    blocks: bool = False
    refuses: bool = False
    gate: float = 0.0
    target: float = 0.0
    better: str = "high"
    unit: str = "share"
    about: str = ""
    control_grades: dict[str, Grade] = field(default_factory=dict)
    default_gate: float | None = None
    default_target: float | None = None
    loosened: bool = False


Judged = tuple[list[Row], dict[str, Any]]  # rows, and what a page draws of them


def judged(
    name: str,
    score: float,
    *,
    value: float | None = None,
    ceiling: float | None = None,
    controls: Mapping[str, float | None] | None = None,
    interval: tuple[float, float] | None = None,
    note: str = "",
) -> Row:
    """The row of a measured figure, graded by its gate; `value` is the score where it is not given."""
    gate = GATES[name]
    measured = dict(controls or {})
    grades: dict[str, Grade] = {key: gate.grade(figure) for key, figure in measured.items() if figure is not None}
    shown = score if value is None else value
    row = Row(gate.id, name, shown, ceiling, score, measured, gate.grade(score), note, interval)
    return replace(_described(row, gate), control_grades=grades)


def reported(
    name: str,
    value: float,
    *,
    score: float | None = None,
    ceiling: float | None = None,
    interval: tuple[float, float] | None = None,
    note: str = "",
) -> Row:
    """The row of a measured figure that no gate judges; `score` is the value where it is not given."""
    gate = GATES[name]
    shown = value if score is None else score
    return _described(Row(gate.id, name, value, ceiling, shown, {}, "reported", note, interval), gate)


def not_applicable(name: str, reason: str, *, ceiling: float | None = None) -> Row:
    """The row of a figure that cannot be said, and why."""
    gate = GATES[name]
    return _described(Row(gate.id, name, None, ceiling, None, {}, "na", f"not applicable: {reason}"), gate)


def _described(row: Row, gate: Gate) -> Row:
    return replace(row, gate=gate.gate, target=gate.target, better=gate.better, unit=gate.unit, about=gate.about)


def as_json(row: Row) -> dict[str, Any]:
    """The row as plain JSON."""
    return asdict(row)


def blocking_failures(report: Mapping[str, Any]) -> list[str]:
    """One line with the failing numbers per row that refuses a publication; empty where nothing does."""
    return [_failure(row) for row in report["rows"] if row["refuses"]]


def _failure(row: Mapping[str, Any]) -> str:
    sign = ">=" if row["better"] == "high" else "<="
    ceiling = "" if row["ceiling"] is None else f", real rows {row['ceiling']:.4g}"
    note = f" ({row['note']})" if row["note"] else ""
    return f"{row['id']} {row['name']}: {row['score']:.4g}, must be {sign} {row['gate']:g}{ceiling}{note}"
