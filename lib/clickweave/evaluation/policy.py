"""What a recipe may change about the gates: `evaluate.gates`, by row id or by id and name of the figure.

`block` or `grade` says whether a red figure refuses a publication; a mapping {block, gate, target} also moves the
bounds. A name that does not exist, or a mapping that changes nothing, is refused when the recipe is read.
"""

from collections.abc import Mapping
from dataclasses import replace

from clickweave.config.gates import GateChange
from clickweave.errors import ConfigError
from clickweave.evaluation.gates import BLOCKING_IDS, GATES, REPORTED_IDS, Gate, Row

Change = str | GateChange
_JUDGED = ("green", "amber", "red")
_IDS = tuple(dict.fromkeys(gate.id for gate in GATES.values()))


def change_of(overrides: Mapping[str, Change], row_id: str, name: str) -> GateChange | None:
    """What a recipe says of one figure: of it by name before what it says of the whole id; None for nothing."""
    said = overrides.get(f"{row_id} {name}", overrides.get(row_id))
    return GateChange(block=said == "block") if isinstance(said, str) else said


def apply_policy(
    rows: list[Row], overrides: Mapping[str, Change], *, graded_only: frozenset[str] = frozenset()
) -> list[Row]:
    """Rows with `blocks` and `refuses` set, from the default blocking set and the recipe's `evaluate.gates`.

    A red row of a blocking id refuses. By default U3 refuses only on measured harm (interval wholly below zero), and
    the names in `graded_only` never do; a recipe that says `block` makes any red row of it refuse.
    """
    decided = []
    for row in rows:
        change = change_of(overrides, row.id, row.name)
        by_default = row.id in BLOCKING_IDS and row.name not in graded_only
        said = None if change is None else change.block
        blocks = by_default if said is None else said
        judged = with_change(row, change, blocks_by_default=by_default)
        bad = judged.grade == "red"
        if row.id == "U3" and said is None:
            bad = row.interval is not None and row.interval[1] < 0
        decided.append(replace(judged, blocks=blocks, refuses=blocks and bad))
    return decided


def check_gates(overrides: Mapping[str, Change]) -> None:
    """Checks a recipe's `evaluate.gates`.

    Raises:
        ConfigError: an id or name that does not exist, a row that is only reported, a bound that cannot be reached, or
            a change without effect.
    """
    for key, said in overrides.items():
        gates = _named(key)
        if gates[0].id in REPORTED_IDS:
            raise ConfigError(f"evaluate.gates: {key!r} is only reported: no gate judges it; take it out")
        if not isinstance(said, str):
            _check_change(key, gates, said)


def moved(gate: Gate, change: GateChange | None) -> Gate:
    """The gate with a recipe's bounds in place of its own."""
    if change is None:
        return gate
    return replace(
        gate,
        gate=gate.gate if change.gate is None else change.gate,
        target=gate.target if change.target is None else change.target,
    )


def with_change(row: Row, change: GateChange | None, *, blocks_by_default: bool) -> Row:
    """The row graded anew by a recipe's bounds, with the original ones beside them and whether any was loosened."""
    if change is None:
        return row
    gate = GATES[row.name]
    new = moved(gate, change)
    sign = 1 if gate.better == "high" else -1
    easier = sign * new.gate < sign * gate.gate or sign * new.target < sign * gate.target
    return replace(
        row,
        gate=new.gate,
        target=new.target,
        default_gate=gate.gate if new.gate != gate.gate else None,
        default_target=gate.target if new.target != gate.target else None,
        grade=new.grade(row.score) if row.score is not None and row.grade in _JUDGED else row.grade,
        control_grades={name: new.grade(row.controls[name] or 0.0) for name in row.control_grades},
        loosened=easier or (blocks_by_default and change.block is False),
    )


def _named(key: str) -> list[Gate]:
    """The gates that a key of `evaluate.gates` is about."""
    row_id, _, name = key.partition(" ")
    of_id = [gate for gate in GATES.values() if gate.id == row_id]
    if not of_id:
        raise ConfigError(f"evaluate.gates: unknown row {row_id!r}; rows are {', '.join(_IDS)}")
    gates = [gate for gate in of_id if name in ("", gate.name)]
    if not gates:
        known = ", ".join(repr(f"{gate.id} {gate.name}") for gate in of_id)
        raise ConfigError(f"evaluate.gates: unknown figure {key!r}; there are {known}")
    return gates


def _check_change(key: str, gates: list[Gate], change: GateChange) -> None:
    where = f"evaluate.gates: {key!r}"
    moves = change.gate is not None or change.target is not None
    kinds = {(gate.gate, gate.target, gate.better, gate.unit) for gate in gates}
    if moves and len(kinds) > 1:
        known = ", ".join(repr(f"{gate.id} {gate.name}") for gate in gates)
        raise ConfigError(f"{where} has figures with different gates; name one of {known}")
    changes_block = change.block is not None and any(change.block != (gate.id in BLOCKING_IDS) for gate in gates)
    if all(moved(gate, change) == gate for gate in gates) and not (changes_block or key.startswith(("U3", "P"))):
        raise ConfigError(f"{where} changes nothing: it sets what holds without it")
    for gate in gates:
        _check_bounds(where, moved(gate, change))


def _check_bounds(where: str, gate: Gate) -> None:
    sign = 1 if gate.better == "high" else -1
    if sign * gate.target < sign * gate.gate:
        raise ConfigError(
            f"{where}: target {gate.target:g} is easier than gate {gate.gate:g}, which then has no effect; set both"
        )
    if gate.unit == "share" and not (abs(gate.gate) <= 1 and abs(gate.target) <= 1):
        raise ConfigError(
            f"{where}: gate and target are shares, at most 1 (100 %), got {gate.gate:g} and {gate.target:g}"
        )
