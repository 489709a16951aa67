"""The outer loop step by step: shares of the budget, rates, what is timed, and refused inputs."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from helpers.sources import make_source
from helpers.trainings import SMALL, Script, Slow, Toy, make_learner, run

from fewshot.harness import outer_loop
from fewshot.harness.optimizers import lr_factor
from fewshot.harness.selection import DivergedError
from fewshot.machine import ProcessorSeconds

CPU = torch.device("cpu")


# iMAML: conjugate gradients need not converge for what these tests look at.
pytestmark = pytest.mark.filterwarnings("ignore:iMAML")


@pytest.fixture
def train_source():
    return make_source("train", n_classes=6, per_class=12)


def test_a_budget_of_seconds_is_kept_exactly_and_the_first_step_is_not_in_it(train_source, time):
    spent = run(Slow(time), train_source, replace(SMALL, steps=None, seconds=4.0)).spent
    assert (spent.steps, spent.train_s, spent.warmup_s) == (9, 4.0, 32.0)
    assert spent.seconds == {"data": 0.0, "forward": 4.0, "backward": 0.0, "optimizer": 0.0}


def test_the_first_budget_to_run_out_ends_training(train_source, time):
    budgets = {"steps": 7, "images": 8 * 7, "seconds": 0.5 * 6}
    for short in budgets:
        recipe = replace(SMALL, **{k: v * (1 if k == short else 3) for k, v in budgets.items()})
        assert run(Slow(time), train_source, recipe).spent.steps == 7


def test_who_used_the_processors_is_measured_while_the_clock_runs(train_source, time, monkeypatch):
    """Four processors: this process uses one, others half a one, but for the validation's time."""
    validating = []

    def processor_seconds():
        busy = 1.5 * time.now - sum(validating)
        return ProcessorSeconds(time.now - sum(validating), busy, 4 * time.now)

    def think():
        time.now += 1000
        validating.append(1000)

    monkeypatch.setattr("fewshot.machine.processor_seconds", processor_seconds)
    recipe = replace(SMALL, steps=None, seconds=4.0, validations=2)
    spent = run(Slow(time), train_source, recipe, Script(then=think)).spent
    assert (spent.cpu_s, spent.others) == (4.0, 0.125)


def test_the_learning_rate_of_each_step_follows_the_share_of_the_budget_spent(train_source):
    recipe = replace(SMALL, steps=10, validations=10, lr=0.5)
    curve = run(Toy(), train_source, recipe).curve
    expected = [0.5 * lr_factor(recipe, step / 10) for step in range(10)]
    assert [point.lr for point in curve] == pytest.approx(expected)
    rates = [point.lr for point in curve]
    assert max(rates) == rates[2] == 0.5
    assert all(a > b for a, b in pairwise(rates[2:]))


def test_the_learning_rate_reaches_the_optimizer(train_source):
    """The first step of Adam is as long as the learning rate."""
    recipe = replace(SMALL, steps=10, optimizer="adam", lr=0.5, weight_decay=0.0)
    toy = Toy()
    run(toy, train_source, recipe)
    assert toy.weights[1] == pytest.approx(0.5 / 25, rel=1e-4)


class ChecksItsInputs(Toy):
    """Refuses, as heads do, what a step on a loss that is no number left behind."""

    def loss(self, batch):
        if self.weight.isnan():
            raise ValueError("features hold nan or infinity")
        return super().loss(batch)


@pytest.mark.parametrize("late", [False, True])
def test_a_head_that_refuses_what_divergence_left_does_not_hide_it(train_source, monkeypatch, late):
    """On a GPU losses arrive late; here they never do."""
    toy = ChecksItsInputs(losses={3: float("nan")})
    if late:
        arrived = outer_loop.Losses.arrived
        monkeypatch.setattr(outer_loop.Losses, "arrived", lambda *a: arrived(*a) and [])
    with pytest.raises(DivergedError, match=r"\bby step 3\b"):
        run(toy, train_source, replace(SMALL, validations=1))


def test_what_a_learner_raises_by_itself_is_left_as_it_is(train_source):
    toy = ChecksItsInputs()
    toy.weight.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="features hold nan"):
        run(toy, train_source)


@pytest.mark.slow
def test_a_compiled_step_trains_the_same(train_source):
    """To rounding: the compiler puts sums together in another order."""
    learners = [make_learner("transfer") for _ in range(2)]
    recipe = replace(SMALL, steps=4, lr=0.01)
    plain = run(learners[0], train_source, recipe)
    compiled = run(learners[1], train_source, replace(recipe, compile=True))
    assert compiled.curve[-1].loss == pytest.approx(plain.curve[-1].loss, rel=1e-3)
    assert compiled.spent.warmup_s > 5 * plain.spent.warmup_s  # compilation is in there
    assert learners[0].state_dict().keys() == learners[1].state_dict().keys()
    for one, other in zip(*(each.state_dict().values() for each in learners), strict=True):
        assert torch.allclose(one.float(), other.float(), rtol=1e-2, atol=1e-3)
