"""How many synthetic rows per real one help? Tried on `reference`, real rows that the generator did not fit (law 3).

For each ratio the click model of U1 is trained on a sample of T and so many of the rows that a mix would add, and its
AUC on reference is held against that of the same sample alone, and of the sample with as many rows drawn again from all
of T, since the generator saw all of it (as in U3). The least ratio whose gain over both is above noise is taken: the
lower end of a paired bootstrap interval over users and seeds lies above 0, at a level that is shared out over the
ratios tried (Bonferroni), so that rows that do nothing are added in one run of forty at most.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from clickweave.evaluation.ctr import ctr_judge
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.evaluation.samples import Samples, draw_samples, take
from clickweave.evaluation.utility import bootstrap_aucs, choose_target, mean_auc, more_real, score_arms

RATIOS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)
SAMPLE_ROWS = 20_000  # of reference, and of rows that would be added
BASE_ROWS = SAMPLE_ROWS // 2  # of T, so that twice as many can be added
NUM_SEEDS = 3
NUM_REPLICATES = 400  # half of one in forty, over five ratios, is the second lowest
LEVEL = 0.025
_BASE = "0"


@dataclass(frozen=True)
class Choice:
    """The ratio, why, and per ratio tried the AUC, its gain and the gain's lower end."""

    ratio: float
    reason: str
    tried: list[dict[str, float]] = field(default_factory=list)


def choose_ratio(inputs: EvaluationInputs, *, num_train: int, num_added: int) -> Choice:
    """The ratio to use; 0 where nothing can be said.

    Cost: the job of `draw_samples` and at most 11 x NUM_SEEDS trainings of 120 trees on at most 3 x BASE_ROWS rows.

    Args:
        inputs: `holdout` is the part reference, `mixed` the rows that the largest ratio would add to T; none of them
            may be made of reference.
        num_train: rows of T.
        num_added: rows of `mixed`.
    """
    if num_added == 0:
        return Choice(0.0, "there are no rows to add")
    samples = draw_samples(inputs)
    if samples.holdout.empty:
        return Choice(0.0, "the part reference has no rows")
    base = take(samples.train, BASE_ROWS)
    reached = {level: int((base["label"] >= level).sum()) for level in range(1, inputs.schema.num_levels + 1)}
    target = choose_target(reached, len(base), samples.holdout)
    if target.level is None:
        return Choice(0.0, target.reason)
    ratios = reachable(num_added / num_train)
    arms = _arms(samples, base, ratios, num_train)
    test = take(samples.holdout, len(samples.holdout))
    clicked = target.of(test)
    judge = ctr_judge(inputs.schema, samples.train)
    scores = score_arms(judge, [arms] * NUM_SEEDS, target, test, weighted=arms)
    draws = bootstrap_aucs(scores, clicked, test["entity_id"], samples.seed, NUM_REPLICATES)
    aucs = {name: mean_auc(runs, clicked) for name, runs in scores.items()}
    return _chosen(ratios, aucs, draws)


def reachable(most: float) -> list[float]:
    """The ratios above 0 that `most` rows per real one allow, up to the first that takes all there are."""
    tried = [ratio for ratio in RATIOS if ratio > 0]
    enough = [ratio for ratio in tried if ratio >= most]
    return [ratio for ratio in tried if ratio < most] + enough[:1]


def _arms(samples: Samples, base: pd.DataFrame, ratios: list[float], train_rows: int) -> dict[str, pd.DataFrame]:
    arms = {_BASE: base.assign(weight=1.0)}
    for ratio in ratios:
        num_extra = min(len(samples.extra), round(ratio * len(base)))
        arms[str(ratio)] = pd.concat([arms[_BASE], take(samples.extra, num_extra)], ignore_index=True)
        again = more_real(samples, len(base), num_extra, train_rows).assign(weight=1.0)
        arms[_repeated(ratio)] = pd.concat([arms[_BASE], again], ignore_index=True)
    return arms


def _repeated(ratio: float) -> str:
    return f"{ratio} repeated"


def _chosen(ratios: list[float], aucs: dict[str, float], draws: dict[str, np.ndarray]) -> Choice:
    """The least ratio whose gain over each of its baselines is above noise."""
    tried: list[dict[str, float]] = [{"ratio": 0.0, "auc": aucs[_BASE], "gain": 0.0, "gain_low": 0.0}]
    for ratio in ratios:
        name, against = str(ratio), (_BASE, _repeated(ratio))
        low = min(float(np.quantile(draws[name] - draws[each], LEVEL / len(ratios))) for each in against)
        gain = aucs[name] - max(aucs[each] for each in against)
        tried.append({"ratio": ratio, "auc": aucs[name], "gain": gain, "gain_low": low})
    tried = [{key: round(value, 6) for key, value in row.items()} for row in tried]
    helpful = [row for row in tried if row["gain_low"] > 0]
    if not helpful:
        return Choice(0.0, "no ratio gains more than noise", tried)
    best = helpful[0]
    return Choice(best["ratio"], f"the least that helps: {best['gain']:+.4f} AUC on reference", tried)


def as_metrics(choice: Choice, metric: str) -> dict[str, Any]:
    """For the manifest."""
    return {"chosen": choice.ratio, "reason": choice.reason, "metric": metric, "tried": choice.tried}
