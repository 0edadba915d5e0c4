import pandas as pd

from clickweave.evaluation.privacy.copies import GRAMS, PATTERNS, ROWS, Copies, excess, graded_only, judge_copies
from clickweave.evaluation.samples import draw_samples, independent_columns


def _judge(inputs):
    rows, detail = judge_copies(inputs, independent_columns(draw_samples(inputs).train, 0))
    return {row.name: row for row in rows}, detail["copies"]


def test_fresh_users_of_the_same_law_copy_no_more_than_holdout(make_inputs, fresh):
    rows, copies = _judge(make_inputs(fresh))
    assert rows[ROWS].grade != "red"
    assert rows[GRAMS].grade != "red"
    assert copies[GRAMS]["synthetic"]["total"] == 120 * 16  # 20 events hold 16 runs of 5


def test_real_rows_under_new_names_are_red_in_every_figure(make_inputs, copied):
    rows, copies = _judge(make_inputs(copied))
    assert {row.grade for row in rows.values()} == {"red"}
    assert rows[ROWS].value == 1.0
    assert copies[GRAMS]["synthetic"]["copied"] > 0.99 * copies[GRAMS]["synthetic"]["total"]


def test_bootstrap_control_fails_and_independent_columns_copy_no_sequence(make_inputs, fresh):
    rows, copies = _judge(make_inputs(fresh))
    assert rows[ROWS].control_grades["bootstrap"] == "red"
    assert rows[GRAMS].control_grades["bootstrap"] == "red"
    assert copies[ROWS]["bootstrap"]["copied"] == copies[ROWS]["bootstrap"]["total"] > 1000
    assert rows[GRAMS].control_grades["independent"] != "red"


def test_sequence_that_two_real_users_share_is_nobodys(make_inputs, toy, copied):
    real = toy(120, 1, "u")
    twins = pd.concat(
        [
            real,
            real.assign(
                row_id=real["row_id"] + 500_000, entity_id="v" + real["entity_id"], user_id="v" + real["user_id"]
            ),
        ]
    )
    rows, _ = _judge(make_inputs(copied, train=twins))
    assert rows[GRAMS].value == 0.0
    assert rows[ROWS].value == 1.0


def test_augmented_rows_are_not_held_against_the_generator(make_inputs, copied):
    rows, _ = _judge(make_inputs(copied.assign(origin="augmented")))
    assert {row.grade for row in rows.values()} == {"na"}


def test_blended_rows_that_are_their_parents_are_copies_and_others_are_not(make_inputs, toy, to_table):
    parents = toy(120, 1, "u").assign(origin="blended")
    parents = parents.assign(row_id=parents["row_id"] + 5 * 10**7)
    rows, copies = _judge(make_inputs(mixed=to_table(parents)))
    assert (rows[ROWS].grade, rows[PATTERNS].grade, rows[GRAMS].grade) == ("red", "red", "na")
    assert copies[ROWS]["synthetic"] == {"copied": 2400, "total": 2400}
    changed = parents.assign(feature_stars=parents["feature_stars"] + 0.37)
    rows, copies = _judge(make_inputs(mixed=to_table(changed)))
    assert rows[ROWS].grade == "green"
    assert copies[ROWS]["synthetic"] == {"copied": 0, "total": 2400}


def test_one_chance_copy_is_no_leak_and_many_are():
    real = Copies(0, 20_000)
    assert excess(Copies(1, 80_000), real) < 2
    assert excess(Copies(100, 80_000), real) > 2


def test_copies_without_time_never_block(make_inputs, fresh):
    schema = make_inputs(fresh).schema
    assert graded_only(schema) == {PATTERNS}
    assert graded_only(schema.model_copy(update={"event_time": None})) == {PATTERNS, ROWS}
