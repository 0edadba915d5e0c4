"""F2, F5 and F6: items and histories, counted on Spark in few passes."""

import pandas as pd

from clickweave.evaluation import items
from clickweave.evaluation.gates import Judged, not_applicable
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.evaluation.sequences.controls import control_histories
from clickweave.evaluation.sequences.detection import HISTORIES, judge_histories
from clickweave.evaluation.sequences.histories import (
    MAX_TOKENS,
    USER,
    count_lengths,
    count_steps,
    history_events,
    user_features,
)
from clickweave.evaluation.sequences.shapes import NAMES, judge_sequences

_F2 = (items.FREQUENCIES, items.BANDS, items.DISTINCT, items.INVENTED)


def judge_behaviour(inputs: EvaluationInputs) -> dict[str, Judged]:
    """F2, F5 and F6, or why they cannot be said.

    Cost: two scans of T for the controls, then four of T, H and S: item counts, steps of histories (the one that
    shuffles and sorts every row), their lengths, and the features of a sample of users. On the driver O(items), counts
    of at most some 10^5 distinct values, 3 x 200,000 rows of controls, and 6 x `sample_rows` users.
    """
    schema, config = inputs.schema, inputs.config
    if inputs.train.isEmpty() or inputs.holdout.isEmpty():
        return _nothing("no rows in T or in the holdout")
    controls = control_histories(inputs)
    judged = _nothing("the log has no items")
    tokens = pd.Series([], index=pd.Index([], dtype=object), dtype="int64")
    if schema.item is not None:
        counts = items.count_items(inputs)
        tokens = items.item_tokens(counts, MAX_TOKENS)
        if counts["train"].any() and counts["holdout"].any():
            judged["F2"] = items.judge_items(
                counts, {name: df["item_id"] for name, df in controls.items()}, config.seed
            )
    if schema.entity_column is None or schema.event_time is None:
        return judged | _sequences_unsaid("rows form no sequences without a user or session, and a time")
    events = history_events(inputs, controls, tokens)
    lengths = count_lengths(events)
    judged["F6"] = judge_sequences(count_steps(events), lengths, config.seed)
    users = lengths[lengths["figure"] == USER].groupby("side")["count"].sum()
    shares = {str(side): min(1.0, 1.1 * config.sample_rows / num) for side, num in users.items()}
    features = user_features(events, shares, schema.num_levels, config.seed)
    row, detail = judge_histories(features, config.sample_rows, config.seed)
    judged["F5"] = [row], detail
    return judged


def _nothing(reason: str) -> dict[str, Judged]:
    return {"F2": ([not_applicable(name, reason) for name in _F2], {})} | _sequences_unsaid(reason)


def _sequences_unsaid(reason: str) -> dict[str, Judged]:
    return {
        "F5": ([not_applicable(HISTORIES, reason)], {}),
        "F6": ([not_applicable(name, reason) for name in NAMES], {}),
    }
