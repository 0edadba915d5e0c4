"""Attacks by hand and against scikit-learn, and as judges of planted leaks."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from clickweave.evaluation.privacy import attacks
from clickweave.evaluation.privacy.attacks import KINDS, Counts, attacked, chance_tpr
from clickweave.evaluation.privacy.membership import AUC, TPR, Targets, attack_all, attack_scores, membership_rows

NO_RUNS = {"pair": 0, "gram2": 0, "gram3": 0, "category": 0, "day": 0}


def log(num_users, seed, per_user=12):
    """Users with one of eight tastes and events of 400 items, most of them of their taste."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(num_users), per_user)
    own = rng.integers(0, 8, num_users)[user]
    taste = np.where(rng.random(len(user)) < 0.7, own, rng.integers(0, 8, len(user)))
    item = (rng.random(len(user)) ** 2 * 50).astype(int) * 8 + taste + 1
    frame = pd.DataFrame({"user": user, "item": item, "category": taste + 1, "day": rng.integers(1, 31, len(user))})
    frame["row"] = item * 10 + rng.integers(0, 5, len(user))
    before = frame.groupby("user")[["item", "category"]].shift(1).fillna(0).astype(int)
    older = frame.groupby("user")["item"].shift(2).fillna(0).astype(int)
    frame["pair"] = np.where(before["category"] > 0, before["category"] * 10 + frame["category"], 0)
    frame["gram2"] = np.where(before["item"] > 0, before["item"] * 1000 + item, 0)
    frame["gram3"] = np.where(older > 0, older * 10**6 + frame["gram2"], 0)
    return frame


def counted(frame):
    held = {kind: frame.loc[frame[kind] != 0, kind].value_counts() for kind in KINDS}
    return Counts(held, {kind: int(counts.sum()) for kind, counts in held.items()})


def judged(train, holdout, made, reference, seed=0):
    size = train["user"].nunique()
    targets = Targets(pd.concat([train, holdout.assign(user=holdout["user"] + size)], ignore_index=True), size)
    scores = attack_scores(targets, made, counted(made), counted(reference))
    found = attack_all(scores, targets.is_member_U, seed)
    return found, {row.name: row for row in membership_rows({"synthetic": found, "bootstrap": found}, size)}


def joined(*frames):
    starts = np.cumsum([0] + [frame["user"].max() + 1 for frame in frames])
    return pd.concat(
        [frame.assign(user=frame["user"] + start) for frame, start in zip(frames, starts[:-1], strict=True)],
        ignore_index=True,
    )


@pytest.mark.parametrize("seed", range(3))
def test_rates_are_those_of_scikit_learn_ties_included(seed):
    rng = np.random.default_rng(seed)
    is_member = np.arange(600) < 250
    scores = np.round(rng.normal(size=600) + 0.8 * is_member, 1 + seed)
    found = attacked(scores, is_member, alpha=0.05, seed=0, draws=50)
    false, true, _ = roc_curve(is_member, scores, drop_intermediate=False)
    assert found.auc == pytest.approx(roc_auc_score(is_member, scores), abs=1e-9)
    assert found.tpr == pytest.approx(true[false <= 0.01].max(), abs=1e-9)
    same = attacked(np.zeros(600), is_member, alpha=0.05, seed=0, draws=2)
    assert (same.auc, same.tpr, same.tpr_chance) == (0.5, 0.0, 1.0)
    assert same.auc_chance > 0.4
    assert found.auc_chance < 1e-6
    assert found.auc_interval[0] < found.auc < found.auc_interval[1]
    assert len(found.curve) <= 60
    assert (found.curve[0], found.curve[-1]) == ((0, 0), (1, 1))


def test_chance_finds_as_many_members_as_it_should():
    rng = np.random.default_rng(0)
    is_member = np.arange(400) < 200
    found = [attacked(rng.random(400), is_member, alpha=0.05, seed=0, draws=1).tpr for _ in range(600)]
    assert np.mean(found) == pytest.approx(chance_tpr(200), abs=0.0015)


def test_nearest_history_is_the_largest_weighted_jaccard():
    events = pd.DataFrame({"user": [0, 0, 1], "item": [1, 2, 9]}).assign(**NO_RUNS)
    made = pd.DataFrame({"user": [0, 0, 1, 1, 2], "item": [1, 2, 2, 3, 2]}).assign(**NO_RUNS)
    w = {item: -np.log((users + 0.5) / 4) for item, users in {1: 1, 2: 3, 3: 1, 9: 0}.items()}
    assert attacks.nearest_history(events, made, 2) == pytest.approx([1.0, 0.0], abs=1e-9)
    alone = attacks.nearest_history(events, made[made["user"] > 0], 2)
    w = {item: -np.log((users + 0.5) / 4) for item, users in {1: 0, 2: 2, 3: 1}.items()}
    assert alone[0] == pytest.approx(w[2] / (w[1] + w[2]), abs=1e-9)


def test_contained_share_weighs_rare_tokens_more():
    events = pd.DataFrame({"user": [0, 0, 0, 1], "gram2": [5, 6, 7, 0]})
    made = Counts({"gram2": pd.Series({5: 1, 6: 30})}, {"gram2": 99})
    w = [-np.log(count / 100) for count in (1.5, 30.5, 0.5)]
    found = attacks.contained(events, ("gram2",), made, 2)
    assert found == pytest.approx([(w[0] + w[1]) / sum(w), 0.0], abs=1e-9)


def test_density_ratio_is_the_mean_of_log_ratios():
    events = pd.DataFrame({"user": [0, 0, 1], "item": [5, 6, 6], "pair": [0, 0, 0]})
    made, real = Counts({"item": pd.Series({5: 3})}, {"item": 8}), Counts({"item": pd.Series({6: 1})}, {"item": 2})
    first = np.log((3.5 / 9.5) / (0.5 / 3.5))
    second = np.log((0.5 / 9.5) / (1.5 / 3.5))
    assert attacks.density_ratio(events, made, real, 2) == pytest.approx([(first + second) / 2, second], abs=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_fresh_users_tell_of_nobody_and_copies_of_everybody(seed):
    train, holdout, fresh, reference = (log(120, 10 * seed + part) for part in range(4))
    _, rows = judged(train, holdout, fresh, reference, seed)
    assert {rows[AUC].grade, rows[TPR].grade}.isdisjoint({"red"})
    _, rows = judged(train, holdout, holdout, reference, seed)
    assert {rows[AUC].grade, rows[TPR].grade}.isdisjoint({"red"})
    users = np.random.default_rng(seed).integers(0, 120, 120)
    copy = joined(*[train[train["user"] == user].assign(user=0) for user in users])
    found, rows = judged(train, holdout, copy, reference, seed)
    assert (rows[AUC].grade, rows[TPR].grade) == ("red", "red")
    assert min(it.auc for it in found.values()) > 0.55


@pytest.mark.parametrize("seed", range(3))
def test_two_in_a_hundred_users_copied_whole_are_found_by_the_rate_and_not_by_the_average(seed):
    train, holdout, fresh, reference = (log(1000, 10 * seed + part) for part in range(4))
    leak = joined(fresh, train[train["user"] < 20])
    found, rows = judged(train, holdout, leak, reference, seed)
    assert rows[TPR].grade == "red"
    assert rows[AUC].grade != "red"
    assert found["nearest generated history"].tpr >= 0.025


def test_members_on_top_are_as_improbable_as_permutations_say():
    members, others = np.array([3, 0, 2, 45]), np.array([0, 1, 0, 149])  # ranks: 3 members, an other, 2 members, rest
    first = (50 / 200) * (49 / 199) * (48 / 198)  # k = 0: the three highest are members
    everyone = np.r_[np.ones(50), np.zeros(150)]
    rng = np.random.default_rng(0)
    tops = np.array([rng.permutation(everyone)[:6].sum() for _ in range(40_000)])
    second = np.mean(tops >= 5)  # k = 1: of the six highest at most one is no member
    assert second < first
    assert attacks.top_chance(members, others) == pytest.approx(2 * second, rel=0.15)
    assert attacks.top_chance(members, np.array([0, 2, 0, 148])) == pytest.approx(2 * first, abs=1e-9)
