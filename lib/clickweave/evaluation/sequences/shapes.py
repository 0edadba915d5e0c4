"""F6: do histories run as real ones do? From counts by value over all rows (histories.py).

- session length, gap between events, events per user: KS of S against H. Samples of one law differ too, so what is
  judged is what lies above the real rows' own distance, KS(T, H), or above the distance that samples of so many users
  exceed by chance in 5 % of cases (Smirnov 1948), whichever is larger: on small samples a ratio to KS(T, H) would be
  one chance figure over another. Users and not events are counted there, since the events of one are alike.
- category transitions: (1 - TV of S against H) / (1 - TV of T against H) of pairs of tokens that follow each other, at
  equal numbers of pairs (counts.py).
- repeat consumption: absolute difference of S's share of events whose item the user had before, from H's; judged as
  what lies above T's own difference. Absolute, since in many logs nobody repeats and a relative error has no meaning.
"""

from typing import Any

import numpy as np
import pandas as pd

from clickweave.evaluation.counts import chance_ks, ks_of_counts, thinned
from clickweave.evaluation.fidelity import total_variation
from clickweave.evaluation.gates import Row, judged, not_applicable
from clickweave.evaluation.sequences.histories import BIGRAM, GAP, MAX_TOKENS, SESSION, USER

LENGTHS = {"session length": SESSION, "gap between events": GAP, "events per user": USER}
TRANSITIONS, REPEATS = "category transitions", "repeat consumption"
NAMES = (*LENGTHS, TRANSITIONS, REPEATS)
CURVE_POINTS = 60


def judge_sequences(steps: pd.DataFrame, lengths: pd.DataFrame, seed: int) -> tuple[list[Row], dict[str, Any]]:
    """F6's rows; details hold per figure each side's distance from H, distribution functions, and repeat shares.

    Args:
        steps: as `histories.count_steps` gives it. lengths: as `histories.count_lengths` does.
    """
    users = lengths[lengths["figure"] == USER].groupby("side")[["count", "with_item", "repeated"]].sum()
    tables = {GAP: steps, BIGRAM: steps, SESSION: lengths, USER: lengths}
    counted = {
        figure: {str(side): rows.set_index("value")["count"] for side, rows in part.groupby("side")}
        for figure, table in tables.items()
        for part in [table[table["figure"] == figure]]
    }
    rows, detail = [], {}
    for name, figure in LENGTHS.items():
        row, detail[name] = _judge_length(name, counted[figure], users["count"])
        rows.append(row)
    row, detail[TRANSITIONS] = _judge_transitions(counted[BIGRAM], seed)
    rows.append(row)
    row, detail[REPEATS] = _judge_repeats(users)
    return [*rows, row], detail


def _judge_length(name: str, counts: dict[str, pd.Series], users: pd.Series) -> tuple[Row, dict[str, Any]]:
    missing = _missing(counts, "there are none in T or in the holdout")
    if missing:
        return not_applicable(name, missing), {}
    found = {side: ks_of_counts(values, counts["holdout"]) for side, values in counts.items() if side != "holdout"}
    detail = {"ks": found, "curves": {side: _curve(values) for side, values in counts.items()}}
    scores = {
        side: max(0.0, ks - max(found["train"], chance_ks(users[side], users["holdout"]))) for side, ks in found.items()
    }
    note = "judged as what lies above the ceiling, or above chance"
    return _row(name, found, scores, found["train"], note), detail


def _judge_transitions(counts: dict[str, pd.Series], seed: int) -> tuple[Row, dict[str, Any]]:
    missing = _missing(counts, "no two items follow each other in T or in the holdout")
    if missing:
        return not_applicable(TRANSITIONS, missing), {}
    cells = {
        side: values.reindex(range(MAX_TOKENS**2), fill_value=0).to_numpy(dtype=np.int64)
        for side, values in counts.items()
    }
    most = min(int(cells[side].sum()) for side in ("train", "holdout", "synthetic") if side in cells)

    def similarity(side: str, rows: int) -> float:
        held = thinned(cells["holdout"], rows, seed, 41)
        return 1 - total_variation(thinned(cells[side], rows, seed, 42), held)

    found, scores = {}, {}
    for side in cells.keys() - {"holdout"}:
        rows = min(most, int(cells[side].sum()))
        found[side] = similarity(side, rows)
        scores[side] = found[side] / max(similarity("train", rows), 1e-12)
    order = sorted(found)
    detail = {"similarity": {side: found[side] for side in order}, "pairs_a_side": most}
    return _row(TRANSITIONS, found, scores, found["train"], "judged as share of the ceiling"), detail


def _judge_repeats(users: pd.DataFrame) -> tuple[Row, dict[str, Any]]:
    users = users[users["with_item"] > 0]
    missing = _missing(users.index, "no events with items in T or in the holdout")
    if missing:
        return not_applicable(REPEATS, missing), {}
    shares = {str(side): share for side, share in (users["repeated"] / users["with_item"]).to_dict().items()}
    errors = {side: abs(share - shares["holdout"]) for side, share in shares.items() if side != "holdout"}
    scores = {side: max(0.0, error - errors["train"]) for side, error in errors.items()}
    note = f"judged as distance from the holdout's {shares['holdout']:.4f}, above that of T"
    return _row(REPEATS, shares, scores, shares["holdout"], note), {"shares": shares}


def _missing(sides: Any, reason: str) -> str:
    return "" if {"train", "holdout"} <= set(sides) else reason


def _row(name: str, found: dict[str, float], scores: dict[str, float], ceiling: float, note: str) -> Row:
    if "synthetic" not in found:
        return not_applicable(name, "no synthetic histories", ceiling=ceiling)
    controls = {side: scores[side] for side in sorted(scores) if side not in ("train", "synthetic")}
    return judged(name, scores["synthetic"], value=found["synthetic"], ceiling=ceiling, controls=controls, note=note)


def _curve(counts: pd.Series) -> list[list[float]]:
    """[value, share of values up to it] at no more than 60 quantiles, without the extremes, which are one person's."""
    shares = counts.sort_index().cumsum() / counts.sum()
    places = np.unique(np.searchsorted(shares.to_numpy(), np.linspace(0.01, 0.99, CURVE_POINTS)))
    points: list[list[float]] = np.column_stack([shares.index.to_numpy(dtype=float), shares])[places].tolist()
    return points
