"""Histories, and what all recommenders share on the driver."""

import numpy as np
import pyarrow as pa
import pytest

from clickweave.config.log import SchemaConfig
from clickweave.errors import ConfigError, ContractError
from clickweave.evaluation.recommenders import registry
from clickweave.evaluation.recommenders.interactions import history_matrix
from clickweave.evaluation.recommenders.protocol import Histories, ItemIndex, at_candidates

TABLE = pa.table(
    {
        "row_id": [5, 4, 3, 2, 1],
        "entity_id": ["b", "a", "b", "a", "a"],
        "item_id": ["x", "y", "z", "x", "z"],
        "time_us": [10, 20, 5, 20, 30],
        "label": [1, 0, 2, 1, 0],
        "weight": [1.0, 2.0, 3.0, 4.0, 5.0],
    }
)


def columns(histories):
    return {name: getattr(histories, name).tolist() for name in ("user_ids", "starts", "item_ids", "weights")}


def test_histories_are_in_order_of_user_time_and_row():
    assert columns(Histories.of_table(TABLE)) == {
        "user_ids": ["a", "b"],
        "starts": [0, 3, 5],
        "item_ids": ["x", "y", "z", "z", "x"],  # x before y: the same microsecond, the lower row_id
        "weights": [4.0, 2.0, 5.0, 3.0, 1.0],
    }


def test_consumed_keeps_users_without_events():
    kept = Histories.of_table(TABLE).consumed(2)
    assert columns(kept) == {"user_ids": ["a", "b"], "starts": [0, 0, 1], "item_ids": ["z"], "weights": [3.0]}
    assert Histories.of_table(TABLE).consumed(None).owners.tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_blocks_are_the_histories_again(size):
    whole = Histories.of_table(TABLE)
    blocks = list(whole.blocks(size))
    assert [block.num_users for block in blocks] == ([1, 1] if size == 1 else [2])
    assert np.concatenate([block.item_ids for block in blocks]).tolist() == whole.item_ids.tolist()
    assert all(block.starts[0] == 0 for block in blocks)


def test_no_events_are_no_users():
    empty = Histories.of_table(TABLE.slice(0, 0))
    assert (empty.num_users, empty.starts.tolist(), list(empty.blocks(3))) == (0, [0], [])


def test_starts_must_fit():
    whole = Histories.of_table(TABLE)
    with pytest.raises(ContractError, match="do not fit 2 users and 5 events"):
        Histories(whole.user_ids, whole.starts[:-1], whole.item_ids, whole.time_us, whole.labels, whole.weights)


def test_history_matrix_adds_up_and_passes_over_what_is_unknown():
    twice = Histories.of_table(pa.concat_tables([TABLE, TABLE]))
    found = history_matrix(twice, ItemIndex(np.array(["x", "z"], object)), twice.weights)
    assert found.toarray().tolist() == [[8.0, 10.0], [2.0, 6.0]]


def test_unknown_candidates_get_what_the_user_is_given_for_them():
    known = np.array([[1.0, 2.0], [3.0, 4.0]])
    found = at_candidates(known, np.array([1, -1, 0]), np.array([-5.0, -6.0]))
    assert found.tolist() == [[2.0, -5.0, 1.0], [4.0, -6.0, 3.0]]
    assert found.dtype == np.float32
    assert at_candidates(np.zeros((2, 0)), np.array([-1]), 0.5).tolist() == [[0.5], [0.5]]


@pytest.mark.parametrize("name", registry.RECOMMENDERS)
def test_every_recommender_has_parameters_with_defaults_and_fit(name):
    module = registry.recommender(name)
    assert module.Params() == module.Params.model_validate({})
    assert callable(module.fit)


def test_unknown_recommender_names_those_there_are():
    with pytest.raises(ConfigError, match="'svd' is unknown; there are popularity"):
        registry.recommender("svd")


def test_a_log_without_attributes_or_times_has_fewer_recommenders():
    log = {"item": "i", "user": "u", "event_time": {"column": "t"}, "item_features": {"genre": "categorical"}}

    def names(*without):
        return registry.fitting(SchemaConfig.model_validate({k: v for k, v in log.items() if k not in without}))

    assert names() == registry.RECOMMENDERS
    assert set(registry.RECOMMENDERS) - set(names("item_features")) == {"content"}
    assert set(registry.RECOMMENDERS) - set(names("event_time")) == {"sequential_rules", "sasrec"}
    assert names("user") == ()
