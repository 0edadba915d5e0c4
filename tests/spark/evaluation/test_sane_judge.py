"""Is the judge to be trusted? It must pass real rows of other users, on any seed, and find each planted error.

All laws are judged in one go: to the figures of F2, F5 and F6 each is one more control.
"""

import numpy as np
import pandas as pd
import pytest
import shoppers

from clickweave.evaluation.columns import judged_columns
from clickweave.evaluation.detection import detection_auc
from clickweave.evaluation.fidelity import Sides, judge_pairs, judge_shapes
from clickweave.evaluation.gates import GATES
from clickweave.evaluation.items import DISTINCT, FREQUENCIES, count_items, item_tokens, judge_items
from clickweave.evaluation.rates import count_labels, judge_rates
from clickweave.evaluation.samples import draw_samples, take
from clickweave.evaluation.sequences.behaviour import judge_behaviour
from clickweave.evaluation.sequences.detection import HISTORIES, judge_histories
from clickweave.evaluation.sequences.histories import (
    MAX_TOKENS,
    count_lengths,
    count_steps,
    history_events,
    user_features,
)
from clickweave.evaluation.sequences.shapes import REPEATS, TRANSITIONS, judge_sequences

USERS = 1500
SEEDS = [f"seed{number}" for number in range(10)]
ROWS = 6000  # of each law in the samples of F1, F3 and F4


@pytest.fixture(scope="module")
def real():
    return shoppers.shoppers(USERS, 1, "u"), shoppers.shoppers(USERS, 2, "h")


@pytest.fixture(scope="module")
def laws():
    """Real rows of other users on ten seeds, and ways to be wrong, each under its own prefix."""
    made = {name: shoppers.shoppers(USERS, 10 + number, f"{name}-") for number, name in enumerate(SEEDS)}
    base = shoppers.shoppers(USERS, 30, "x")
    is_dropped = base["item_id"].astype(int) // shoppers.ITEMS_EACH == 2
    wrong = {
        "dropped": base[~is_dropped],
        "shifted": base.assign(time_s=base["time_s"] + 3 * 3600),
        "independent": shoppers.independent(base, 0),
    }
    for number, (name, frame) in enumerate(wrong.items()):
        row_id = frame["row_id"] + 10**9 * (number + 1)
        made[name] = frame.assign(user_id=f"{name}-" + frame["user_id"], row_id=row_id)
    return made


@pytest.fixture(scope="module")
def grades(spark, real, laws):
    """Grade by figure and law, of F1 to F6."""
    inputs = shoppers.make_inputs(spark, *real, pd.concat(laws.values()), sample_rows=len(laws) * ROWS)
    return _grades_of_samples(inputs) | _grades_of_all_rows(inputs, laws)


def _grades_of_samples(inputs):
    samples, columns = draw_samples(inputs), judged_columns(inputs.schema)
    law = samples.synthetic["entity_id"].str.split("-").str[0]
    parts = dict(iter(samples.synthetic.groupby(law)))
    rows = min(map(len, parts.values()))
    train, holdout = take(samples.train, rows), take(samples.holdout, rows)
    ceiling, _ = detection_auc(train, holdout, columns, train, 0)
    found = {"column shapes": {}, "column pairs": {}, "classifier on rows": {}}
    for seed, (name, part) in enumerate(parts.items()):
        made = take(part, rows)
        sides = Sides(train, holdout, made, train, train)
        for judge in (judge_shapes, judge_pairs):
            row, _ = judge(sides, columns)
            found[row.name][name] = row.grade
        auc, _ = detection_auc(made, holdout, columns, train, seed)
        found["classifier on rows"][name] = GATES["classifier on rows"].grade(auc - ceiling)
    return found


def _grades_of_all_rows(inputs, laws):
    counts = count_items(inputs)
    histories = {name: _history(frame) for name, frame in laws.items()}
    small = type(inputs)(**{**vars(inputs), "synthetic": inputs.synthetic.where(f"user_id like '{SEEDS[0]}-%'")})
    events = history_events(small, histories, item_tokens(counts, MAX_TOKENS)).cache()
    rows, _ = judge_items(counts, {name: frame["item_id"] for name, frame in laws.items()}, 0)
    rows += judge_sequences(count_steps(events), count_lengths(events), 0)[0]
    shares = dict.fromkeys(["train", "holdout", "synthetic", *laws], 1.0)
    rows.append(judge_histories(user_features(events, shares, 1, 0), USERS, 0)[0])
    return {row.name: row.control_grades for row in rows if row.control_grades}


def _history(frame):
    told = shoppers.with_sessions(frame)
    times = {"time_us": told["time_s"] * 1e6, "label": told["label"].astype(float), "entity_id": told["user_id"]}
    return told.assign(**times)[["entity_id", "session_id", "time_us", "row_id", "item_id", "label"]]


def test_real_rows_of_other_users_pass_every_figure_on_every_seed(grades):
    red = {(figure, law) for figure, found in grades.items() for law in SEEDS if found[law] == "red"}
    assert red == set()
    assert len(grades) == 12


def test_each_planted_error_turns_its_row_red(grades):
    assert grades[DISTINCT]["dropped"] == "red"  # an eighth of the items; of frequencies a tenth is amber
    assert grades[TRANSITIONS]["dropped"] == "red"
    assert grades["column shapes"]["shifted"] == "amber"  # a mean over columns, of which one is wrong
    assert grades[HISTORIES]["shifted"] == "red"
    assert grades[REPEATS]["shifted"] != "red"


def test_independent_columns_fail_both_classifiers_and_pass_single_columns(grades):
    assert grades["classifier on rows"]["independent"] == "red"
    assert grades[HISTORIES]["independent"] == "red"
    assert grades[TRANSITIONS]["independent"] == "red"
    assert grades["column shapes"]["independent"] != "red"
    assert grades[FREQUENCIES]["independent"] != "red"


def test_halved_clicks_at_the_first_position_turn_the_rates_red(spark, real):
    made = shoppers.shoppers(USERS, 3, "s")
    lost = (made["position"] == 1) & (np.random.default_rng(0).random(len(made)) < 0.5)
    halved = made.assign(label=made["label"].where(~lost, 0))
    rows = {}
    for name, frame in (("fresh", made), ("halved", halved)):
        judged, _ = judge_rates(count_labels(shoppers.make_inputs(spark, *real, frame)), 1)
        rows[name] = {row.name: row.grade for row in judged}
    assert set(rows["fresh"].values()) <= {"green", "amber"}
    assert set(rows["halved"].values()) == {"red"}


def test_markov_is_nearer_to_real_than_independent_columns_and_no_person(spark, real):
    made = shoppers.independent(real[0], 0).assign(row_id=real[0]["row_id"] + 10**9)
    judged = judge_behaviour(shoppers.make_inputs(spark, *real, made))
    assert {key: len(rows) for key, (rows, _) in judged.items()} == {"F2": 4, "F5": 1, "F6": 5}
    rows = {row.name: row for part, _ in judged.values() for row in part}
    histories, transitions, repeats = (rows[name] for name in (HISTORIES, TRANSITIONS, REPEATS))
    assert histories.controls["bootstrap"] < histories.controls["markov"] < histories.controls["independent"]
    assert histories.control_grades == {"bootstrap": "green", "independent": "red", "markov": "red"}
    assert transitions.controls["markov"] > 0.95 > transitions.controls["independent"]
    assert transitions.control_grades["bootstrap"] == "green"
    assert repeats.control_grades == {"bootstrap": "green", "independent": "red", "markov": "red"}
    assert histories.grade == transitions.grade == repeats.grade == "red"
