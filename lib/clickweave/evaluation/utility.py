"""U1 and U3: what is a model worth that was trained on these rows? Tested on H, users that no arm has seen.

Arms: `real` (T), `synthetic` (S), `bootstrap` and `independent` (the controls), `mixed` (T and the mixed set's extra
rows) and `repeated` (T and as many rows drawn from T again, from all of it and not from the arm alone: the generator
saw all of T, so extra rows of either kind must know as much, or a plain copy would pass for an uplift). All but the
last two have the same number of rows; every arm takes the same number of trees. U1 after Esteban et al. 2017 (train
on synthetic, test on real).

Each seed has models of its own and rows of its own, as far as there are others: one draw of 20,000 rows moves the AUC
by 0.005, which on MovieLens is 0.03 of the lift that U1 is a share of, more than what the seed of a model does.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from clickweave.config.log import SchemaConfig
from clickweave.evaluation.ctr import Judge, ctr_judge, fit_and_score, weighted_auc, weighted_aucs
from clickweave.evaluation.detection import side_by_side
from clickweave.evaluation.gates import Row, judged, not_applicable
from clickweave.evaluation.samples import Samples, bootstrap_copy, independent_columns, take

NUM_REPLICATES = 200  # of the bootstrap over users of H
MIN_POSITIVES = 100
U1, U3 = "train on S, test on H", "uplift of the mixed set"


@dataclass(frozen=True)
class Target:
    """A row is a click where its label is at least `level`; `reason` says why there is none."""

    level: int | None
    reason: str = ""

    def of(self, frame: pd.DataFrame) -> np.ndarray:
        return (frame["label"].to_numpy(dtype=float) >= float(self.level or 0)).astype(np.int64)


@dataclass(frozen=True)
class Sizes:
    """Rows in all of T, rows of the mixed set that are not real per row that is, and whether there are such."""

    train_rows: int
    extra_per_real: float
    holds_real: bool = True


def choose_target(train_reached: dict[int, int], train_rows: int, holdout: pd.DataFrame) -> Target:
    """The strongest level with at least 100 positives in all of T that not every row reaches."""
    for level in sorted(train_reached, reverse=True):
        if MIN_POSITIVES <= train_reached[level] < train_rows:
            clicked = (holdout["label"] >= level).to_numpy()
            if len(clicked) and clicked.any() and not clicked.all():
                return Target(level)
    if train_rows and all(count == train_rows for count in train_reached.values()):
        return Target(None, "every row is a positive, there is nothing to tell it from")
    return Target(None, f"no label has both {MIN_POSITIVES} positives and negatives")


def judge_utility(
    samples: Samples, schema: SchemaConfig, target: Target, sizes: Sizes, num_seeds: int
) -> tuple[list[Row], dict[str, Any]]:
    """U1, U3 and per arm AUC, logloss and calibration (predicted over observed clicks; 1 is right).

    Cost: at most 6 arms x `num_seeds` trainings of 120 trees on at most 2 x `sample_rows` rows.
    """
    if target.level is None:
        return [not_applicable(U1, target.reason), not_applicable(U3, target.reason)], {"arms": {}}
    arms = (_arms(samples, sizes, number) for number in range(num_seeds))
    rows = {name: len(arm) for name, arm in _arms(samples, sizes, 0).items()}
    test = take(samples.holdout, len(samples.holdout))
    clicked = target.of(test)
    judge = ctr_judge(schema, samples.train)
    scores = score_arms(judge, arms, target, test, weighted=("mixed",))
    draws = bootstrap_aucs(scores, clicked, test["entity_id"], samples.seed)
    table = {
        name: {
            "rows": rows[name],
            "auc": mean_auc(scores[name], clicked),
            "auc_interval": _interval(draws[name]),
            "logloss": float(np.mean([_logloss(s, clicked) for s in scores[name]])),
            "calibration": float(np.mean([s.mean() for s in scores[name]]) / clicked.mean()),
        }
        for name in scores
    }
    detail = {"arms": table, "level": target.level, "test_rows": len(test), "seeds": num_seeds}
    uplift = _judge_uplift(table, draws) if sizes.holds_real else not_applicable(U3, "the mixed set holds no real rows")
    return [_judge_tstr(table, draws), uplift], detail


def score_arms(
    judge: Judge,
    arms: Iterable[dict[str, pd.DataFrame]],
    target: Target,
    test: pd.DataFrame,
    *,
    weighted: Collection[str],
) -> dict[str, list[np.ndarray]]:
    """Per arm the click probabilities of the rows of `test`, by one model for each seed.

    Args:
        arms: for each seed the training rows by arm; those of one seed are held at a time.
        weighted: arms whose rows count by their training weight; elsewhere each counts as one.
    """

    def train(training: tuple[str, pd.DataFrame, int]) -> np.ndarray:
        name, arm, seed = training
        weights = arm["weight"].fillna(1.0).to_numpy(dtype=float) if name in weighted else np.ones(len(arm))
        return fit_and_score(judge, arm, target.of(arm), test, weights=weights, seed=seed)

    runs: dict[str, list[np.ndarray]] = {}
    for seed, of_seed in enumerate(arms):
        found = side_by_side(train, [(name, arm, seed) for name, arm in of_seed.items()])
        for name, scores in zip(of_seed, found, strict=True):
            runs.setdefault(name, []).append(scores)
    return runs


def mean_auc(scores: list[np.ndarray], clicked: np.ndarray) -> float:
    """Mean AUC over seeds."""
    return float(np.mean([weighted_auc(score, clicked, np.ones(len(score))) for score in scores]))


def _arms(samples: Samples, sizes: Sizes, number: int) -> dict[str, pd.DataFrame]:
    """Name -> training rows of the seed of that number."""
    rows = min(len(samples.train), len(samples.synthetic)) if len(samples.synthetic) else len(samples.train)
    num_extra = min(len(samples.extra), round(rows * sizes.extra_per_real))
    samples = redrawn(samples, rows, num_extra, number)
    real, seed = take(samples.train, rows), samples.seed
    arms = {"real": real, "bootstrap": bootstrap_copy(real, rows, seed), "independent": independent_columns(real, seed)}
    if len(samples.synthetic):
        arms["synthetic"] = take(samples.synthetic, rows)
    if num_extra:
        extra = take(samples.extra, num_extra)
        arms["mixed"] = pd.concat([real, extra], ignore_index=True)
        arms["repeated"] = pd.concat([real, more_real(samples, rows, num_extra, sizes.train_rows)], ignore_index=True)
    return arms


def redrawn(samples: Samples, rows: int, num_extra: int, number: int) -> Samples:
    """The samples with the `number`-th `rows` rows of T and of S in front, and `num_extra` of the extra rows; round and
    round where there are fewer. Number 0 are the samples as they are drawn.
    """
    real = _turned(pd.concat([samples.train, samples.beyond]), number * rows)
    made = _turned(pd.concat([samples.synthetic, samples.synthetic_beyond]), number * rows)
    return replace(
        samples,
        train=real.head(rows),
        beyond=real.iloc[rows:],
        synthetic=made.head(rows),
        synthetic_beyond=made.iloc[rows:],
        extra=_turned(samples.extra, number * num_extra),
        seed=samples.seed + number,
    )


def _turned(frame: pd.DataFrame, first: int) -> pd.DataFrame:
    """The rows from the `first`-th on, then those before; counted round and round."""
    start = first % max(len(frame), 1)
    return pd.concat([frame.iloc[start:], frame.iloc[:start]], ignore_index=True)


def more_real(samples: Samples, rows: int, num_extra: int, train_rows: int) -> pd.DataFrame:
    """`num_extra` rows as a draw with replacement from all of T gives them: some from the arm's, the rest beyond."""
    pool = pd.concat([samples.train, samples.beyond], ignore_index=True)
    inside, beyond = pool.head(rows), pool.iloc[rows:]
    num_inside = num_extra if beyond.empty else round(num_extra * rows / train_rows)
    again = [bootstrap_copy(inside, num_inside, samples.seed + 1)]
    if num_inside < num_extra:
        again.append(bootstrap_copy(beyond, num_extra - num_inside, samples.seed + 2))
    return pd.concat(again, ignore_index=True)


def bootstrap_aucs(
    scores: dict[str, list[np.ndarray]],
    clicked: np.ndarray,
    entities: pd.Series,
    seed: int,
    num_replicates: int = NUM_REPLICATES,
) -> dict[str, np.ndarray]:
    """Per arm (num_replicates,) AUCs, each the mean over seeds drawn with replacement, as many as there are, of the
    test's users, drawn alike.

    All arms share users and seeds of a replicate, so that differences are paired.
    """
    generator = np.random.default_rng([seed, 5])
    codes, names = pd.factorize(entities.fillna(""), sort=True)
    drawn = generator.integers(0, len(names), (num_replicates, len(names)))
    weights_RN = np.stack([np.bincount(one, minlength=len(names))[codes] for one in drawn]).astype(float)
    num_seeds = len(next(iter(scores.values())))
    picks_RS = generator.integers(0, num_seeds, (num_replicates, num_seeds))
    found = {}
    for name, runs in scores.items():
        aucs_RS = np.stack([weighted_aucs(score, clicked, weights_RN) for score in runs], axis=1)
        found[name] = np.take_along_axis(aucs_RS, picks_RS, axis=1).mean(axis=1)
    return found


def _judge_tstr(table: dict[str, dict[str, Any]], draws: dict[str, np.ndarray]) -> Row:
    ceiling = table["real"]["auc"]
    if table["real"]["auc_interval"][0] <= 0.5:
        return not_applicable(U1, f"real rows teach nothing either (AUC {ceiling:.3f})", ceiling=ceiling)
    if "synthetic" not in table:
        return not_applicable(U1, "no synthetic rows", ceiling=ceiling)
    ratios = {name: (row["auc"] - 0.5) / (ceiling - 0.5) for name, row in table.items()}
    floor = np.maximum(draws["real"] - 0.5, 1e-9)
    return judged(
        U1,
        ratios["synthetic"],
        value=table["synthetic"]["auc"],
        ceiling=ceiling,
        controls={name: ratios[name] for name in ("bootstrap", "independent")},
        interval=_interval((draws["synthetic"] - 0.5) / floor),
        note="judged as share of what real rows teach",
    )


def _judge_uplift(table: dict[str, dict[str, Any]], draws: dict[str, np.ndarray]) -> Row:
    if "mixed" not in table:
        return not_applicable(U3, "the mixed set holds real rows alone", ceiling=table["real"]["auc"])
    best = max(("real", "repeated"), key=lambda name: table[name]["auc"])
    gain = table["mixed"]["auc"] - table[best]["auc"]
    low, high = _interval(draws["mixed"] - draws[best])
    said = "harm" if high < 0 else ("uplift" if low > 0 else "no measurable uplift")
    note = f"{said}: {gain:+.4f} AUC over {best} rows"
    ceiling = table[best]["auc"]
    return judged(U3, low, value=table["mixed"]["auc"], ceiling=ceiling, interval=(low, high), note=note)


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _logloss(score: np.ndarray, clicked: np.ndarray) -> float:
    kept = np.clip(score, 1e-6, 1 - 1e-6)
    return float(-np.mean(clicked * np.log(kept) + (1 - clicked) * np.log(1 - kept)))
