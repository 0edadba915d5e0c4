import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from clickweave.evaluation.counts import chance_ks
from clickweave.evaluation.sequences.histories import BIGRAM, GAP, SESSION, USER
from clickweave.evaluation.sequences.shapes import NAMES, REPEATS, TRANSITIONS, judge_sequences


def _counted(side, figure, values):
    counts = pd.Series(values).value_counts().sort_index()
    return pd.DataFrame({"side": side, "figure": figure, "value": counts.index, "count": counts.to_numpy()})


def _law(seed, users=4000, mean=9.0, pairs=3, repeats=0.3):
    rng = np.random.default_rng(seed)
    length = 1 + rng.poisson(mean, users)
    first = rng.integers(0, 5, 20_000)
    values = {
        GAP: rng.integers(0, 1000, 20_000),
        BIGRAM: first * 52 + (first + rng.integers(0, pairs, 20_000)) % 5,
        SESSION: 1 + rng.poisson(2, 9000),
        USER: length,
    }
    return values, {"with_item": length.sum(), "repeated": round(repeats * length.sum())}


def _judge(**laws):
    steps, lengths = [], []
    for side, (values, sums) in laws.items():
        for figure, drawn in values.items():
            counts = _counted(side, figure, drawn)
            if figure in (GAP, BIGRAM):
                steps.append(counts)
            else:
                told = sums if figure == USER else dict.fromkeys(sums, 0)
                first = np.arange(len(counts)) == 0
                lengths.append(counts.assign(**{name: np.where(first, total, 0) for name, total in told.items()}))
    rows, detail = judge_sequences(pd.concat(steps), pd.concat(lengths), 0)
    return {row.name: row for row in rows}, detail


def test_another_sample_of_the_law_is_not_red():
    rows, _ = _judge(train=_law(1), holdout=_law(2), synthetic=_law(3))
    assert tuple(rows) == NAMES
    assert {row.grade for row in rows.values()} <= {"green", "amber"}


def test_distances_are_scipys_and_judged_above_the_ceiling_or_chance():
    laws = {"train": _law(1, mean=9.4), "holdout": _law(2), "synthetic": _law(3, mean=11)}
    rows, detail = _judge(**laws)
    drawn = {side: values[USER] for side, (values, _) in laws.items()}
    ours, real = (ks_2samp(drawn[side], drawn["holdout"]).statistic for side in ("synthetic", "train"))
    row = rows["events per user"]
    assert (row.value, row.ceiling) == (pytest.approx(ours, abs=1e-9), pytest.approx(real, abs=1e-9))
    assert row.score == pytest.approx(ours - max(real, chance_ks(4000, 4000)), abs=1e-9)
    assert real > chance_ks(4000, 4000)
    curve = np.array(detail["events per user"]["curves"]["synthetic"])
    assert len(curve) <= 60
    for value, share in curve:
        assert share == pytest.approx((drawn["synthetic"] <= value).mean(), abs=1e-9)


@pytest.mark.parametrize(
    ("change", "name"),
    [({"mean": 12.0}, "events per user"), ({"pairs": 5}, TRANSITIONS), ({"repeats": 0.2}, REPEATS)],
)
def test_another_law_turns_its_own_row_red_and_no_other(change, name):
    rows, _ = _judge(train=_law(1), holdout=_law(2), synthetic=_law(3, **change))
    assert {key for key, row in rows.items() if row.grade == "red"} == {name}


def test_repeats_are_judged_by_absolute_distance_above_that_of_train():
    rows, _ = _judge(train=_law(1, repeats=0.31), holdout=_law(2), synthetic=_law(3, repeats=0.34))
    assert rows[REPEATS].value == pytest.approx(0.34, abs=1e-4)
    assert rows[REPEATS].ceiling == pytest.approx(0.30, abs=1e-4)
    assert rows[REPEATS].score == pytest.approx(0.03, abs=1e-4)


def test_transitions_are_the_total_variation_over_pairs_by_hand():
    laws = {"train": _law(1), "holdout": _law(2), "synthetic": _law(3, pairs=4)}
    shares = {
        side: pd.Series(values[BIGRAM]).value_counts(normalize=True).reindex(range(300), fill_value=0.0)
        for side, (values, _) in laws.items()
    }
    alike = {side: 1 - (shares[side] - shares["holdout"]).abs().sum() / 2 for side in ("train", "synthetic")}
    rows, _ = _judge(**laws)
    assert rows[TRANSITIONS].value == pytest.approx(alike["synthetic"], abs=1e-9)
    assert rows[TRANSITIONS].score == pytest.approx(alike["synthetic"] / alike["train"], abs=1e-9)


def test_without_histories_of_a_side_nothing_is_said():
    rows, _ = _judge(train=_law(1), holdout=_law(2))
    assert {row.grade for row in rows.values()} == {"na"}
    assert all(row.ceiling is not None for row in rows.values())
    rows, _ = _judge(train=_law(1), synthetic=_law(2))
    assert {row.grade for row in rows.values()} == {"na"}
