"""The learning rate, and generators of several networks."""

import pytest
import torch

from clickweave.config.stages import TrainConfig
from clickweave.models.protocol import Batch, Losses, Optimizing, Trainable
from clickweave.training.comms import NullComm
from clickweave.training.flat import AVERAGE_POWER, FlatModel, FlatNetworks
from clickweave.training.loop import Run, learning_rate_at, train


def test_rate_rises_for_a_hundred_steps_and_falls_to_two_percent():
    rates = [learning_rate_at(step, 2000, 4e-3) for step in range(1, 2001)]
    assert rates[0] == pytest.approx(4e-5, rel=0.01)
    assert max(rates) == rates[99] == pytest.approx(4e-3, rel=0.01)
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[1049] == pytest.approx(4e-3 * 0.5, rel=0.1)
    assert rates[-1] == pytest.approx(8e-5)


def test_short_trainings_warm_up_for_a_tenth_of_their_steps():
    rates = [learning_rate_at(step, 30, 1.0) for step in range(1, 31)]
    assert rates.index(max(rates)) == 2
    assert learning_rate_at(1, 1, 1.0) == pytest.approx(0.02)


class Two(Trainable):
    """Two numbers, updated in turns; each counts the steps in which it was the one to learn."""

    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Parameter(torch.tensor([4.0])), torch.nn.Parameter(torch.tensor([4.0]))
        self.told, self.learning = [], []

    def networks(self):
        return {"a": [self.a], "b": [self.b]}

    def network_of(self, step):
        return "a" if step % 3 else "b"

    def optimizing(self, network):
        return Optimizing(betas=(0.0, 0.9), rate_factor=1.0 if network == "a" else 0.0)

    def set_progress(self, done_share):
        self.told.append(done_share)

    def network_loss(self, network, batch, rng):
        self.learning.append((network, self.a.requires_grad, self.b.requires_grad))
        return Losses(self.a.square().sum() + self.b.square().sum())

    def measure(self, batch, rng):
        return {"rows": torch.tensor(2), "both": torch.stack([self.a, self.b]).flatten() * 2}

    def figures(self, sums):
        both = (sums["both"] / sums["rows"]).tolist()
        return {"validation_loss": both[0], "both": both}


class Names(NullComm):
    """One rank that remembers what it was asked to reduce."""

    def __init__(self):
        self.names = []

    def allreduce_mean_(self, flat, name):
        self.names.append((name, flat.numel()))


class Six:
    """Six batches an epoch and one to validate."""

    def train(self, epoch):
        return iter([None] * 6)

    def validation(self):
        return iter([Batch(torch.zeros(2, 0), torch.zeros(2, 0))])


@pytest.fixture
def done():
    generator, comm = Two(), Names()
    flats = FlatNetworks(generator, weight_decay=0.0)
    config, best, history = TrainConfig(epochs=2, learning_rate=0.1), flats.weights_A(), []
    train(Run(generator, flats, Six(), 6, config, comm, 0, "two"), history, best, lambda *_: None)
    return generator, comm, history, best


def test_each_step_updates_one_network_by_its_own_message(done):
    generator, comm = done[:2]
    steps = [name for name, _ in comm.names if name.endswith(".flat")]
    assert steps == ["two.a.flat", "two.a.flat", "two.b.flat"] * 4
    assert {size for name, size in comm.names if name.endswith(".flat")} == {2}
    assert generator.learning[:3] == [("a", True, False), ("a", True, False), ("b", False, True)]
    assert generator.a.item() < 4.0
    assert generator.b.item() == 4.0  # its rate factor is 0


def test_history_tells_each_network_and_whatever_the_generator_measures(done):
    _, _, history, best = done
    assert {"train_loss", "train_loss_a", "train_loss_b", "validation_loss", "both"} <= set(history[0])
    assert history[1]["both"] == pytest.approx(best.tolist())  # weights of all networks, in their order


class Other(NullComm):
    """Two ranks, of which the other one's losses are twice ours."""

    size = 2

    def allreduce_mean_(self, flat, name):
        flat.mul_(1.5)

    def allgather_obj(self, value, name):
        return [value, 2 * value]


def test_history_of_several_ranks_tells_each_ones_own_loss(done):
    generator, config, history = Two(), TrainConfig(epochs=1, learning_rate=0.1), []
    flats = FlatNetworks(generator, weight_decay=0.0)
    train(Run(generator, flats, Six(), 6, config, Other(), 0, "two"), history, flats.weights_A(), lambda *_: None)
    ours, theirs = history[0]["rank_losses"]
    assert theirs == 2 * ours
    assert history[0]["train_loss"] == pytest.approx((ours + theirs) / 2)
    assert "rank_losses" not in done[2][0]


def test_progress_is_the_share_of_planned_steps_that_are_done(done):
    assert done[0].told == [step / 12 for step in range(12)]


def test_average_weighs_each_step_by_a_power_of_its_number():
    """Weights after step t times t^(p+1) - (t-1)^(p+1), summed, over T^(p+1): Karras et al. 2024, eq. 2, in steps."""
    flat = FlatModel([torch.nn.Parameter(torch.randn(5, generator=torch.Generator().manual_seed(0)))], weight_decay=0.0)
    seen = []
    for step in range(1, 41):
        flat.gradients_W.copy_(torch.sin(flat.weights_W.detach() * step))
        flat.update(0.1)
        seen.append(flat.weights_W.detach().double().clone())
        ends = torch.arange(0, step + 1, dtype=torch.float64) ** (AVERAGE_POWER + 1)
        mean_W = (ends.diff()[:, None] * torch.stack(seen)).sum(0) / ends[-1]
        assert torch.allclose(flat.average_W.double(), mean_W, atol=1e-5)
    assert not torch.allclose(flat.average_W, flat.weights_W.detach(), atol=1e-3)


class Together(Two):
    """Both numbers in one network."""

    def networks(self):
        return {"all": [self.a, self.b]}

    def network_of(self, step):
        return "all"

    def optimizing(self, network):
        return Optimizing()


def test_epochs_are_judged_by_the_averages_and_training_goes_on_from_the_weights():
    generator, history = Together(), []
    flats = FlatNetworks(generator, weight_decay=0.0)
    config, best = TrainConfig(epochs=2, learning_rate=0.1), flats.weights_A()
    kept = []
    run = Run(generator, flats, Six(), 6, config, NullComm(), 0, "one")
    train(run, history, best, lambda *_: kept.append((flats.weights_A(), flats.averages_A())))
    for entry, (weights_A, averages_A) in zip(history, kept, strict=True):
        assert entry["both"] == pytest.approx(averages_A.tolist())
        assert entry["both"] != pytest.approx(weights_A.tolist(), abs=1e-4)
    assert torch.equal(best, kept[1][1])
