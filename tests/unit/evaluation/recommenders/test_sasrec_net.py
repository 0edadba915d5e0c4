"""The network of SASRec: what it may look at, its loss, and that it learns a law."""

import numpy as np
import pytest
import torch

from clickweave.evaluation.recommenders.protocol import Histories, ItemIndex
from clickweave.evaluation.recommenders.sasrec import last_places
from clickweave.evaluation.recommenders.sasrec_net import SasRec, Sequences, dropped


@pytest.fixture
def net():
    torch.manual_seed(0)
    made = SasRec(num_codes=12, length=6, hidden=8, blocks=2, dropout=0.3, negatives=5)
    made.train(False)
    return made


ITEMS = torch.tensor([[0, 0, 3, 5, 2, 7]])


def test_a_place_never_looks_ahead(net):
    later = ITEMS.clone()
    later[0, -1] = 11
    before, after = net.states(ITEMS, None), net.states(later, None)
    torch.testing.assert_close(before[:, :-1], after[:, :-1])
    assert (before[:, -1] - after[:, -1]).abs().max() > 1e-3


def test_earlier_items_count(net):
    other = ITEMS.clone()
    other[0, 2] = 11
    assert (net.scores(ITEMS) - net.scores(other)).abs().max() > 1e-4


def test_padding_counts_nothing(net):
    torch.testing.assert_close(net.scores(ITEMS), net.scores(ITEMS[:, 2:]))


def test_loss_is_the_cross_entropy_of_what_follows_by_weight(net):
    targets, weights = torch.tensor([[0, 0, 5, 2, 7, 0]]), torch.tensor([[9.0, 9.0, 1.0, 2.0, 0.5, 9.0]])
    loss = net.training_loss(Sequences(ITEMS, targets, weights), torch.Generator().manual_seed(3)).total
    negatives = torch.randint(1, 12, (5,), generator=torch.Generator().manual_seed(3)).numpy()
    state, table = net.states(ITEMS, None)[0].detach().numpy(), net.items.weight.detach().numpy()
    nats = []
    for place, target in ((2, 5), (3, 2), (4, 7)):
        others = [code for code in negatives if code != target]
        logits = table[[target, *others]] @ state[place]
        nats.append(np.log(np.exp(logits).sum()) - logits[0])
    assert loss.item() == pytest.approx(np.average(nats, weights=[1.0, 2.0, 0.5]), rel=1e-5)


def test_dropout_keeps_the_mean_and_follows_its_generator():
    ones = torch.ones(100_000)
    first, again = (dropped(ones, 0.25, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert float(first.mean()) == pytest.approx(1, abs=0.01)


def test_last_places_are_the_last_known_items_in_order():
    ids = np.array(["x", "new", "y", "z", "y", "new"], object)
    zeros = np.zeros(6, np.int64)
    histories = Histories(np.array(["a", "b", "c"], object), np.array([0, 5, 5, 6]), ids, zeros, zeros, zeros * 1.0)
    found = last_places(histories, ItemIndex(np.array(["x", "y", "z"], object)), 3)
    assert found.tolist() == [[2, 3, 2], [0, 0, 0], [0, 0, 0]]
    longer = last_places(histories, ItemIndex(np.array(["x", "y", "z"], object)), 5)
    assert longer.tolist() == [[0, 1, 2, 3, 2], [0] * 5, [0] * 5]
