"""Learners and validations for tests of training."""

from dataclasses import dataclass

import pytest
import torch
from helpers.learners import LEARNERS, small_learner, ways_of
from torch import nn

from fewshot.episodes.augment import AUGMENTS
from fewshot.harness.recipe import Recipe
from fewshot.harness.train import train
from fewshot.learners.protonet import ProtoNet
from fewshot.protocols import Learner

CPU = torch.device("cpu")
SMALL = Recipe(
    steps=10,
    lr=0.01,
    batch_size=8,
    n_way=3,
    n_shot=1,
    n_query=2,
    validations=1,
    select="last",
)


trained_learners = pytest.mark.parametrize(
    "name", [name for name, cls in LEARNERS.items() if cls.trains_on != "nothing"]
)


@dataclass(frozen=True)
class NoConfig:
    """Nothing to choose."""


class Toy(Learner):
    """One weight, pulled towards 1; remembers each step. `losses` stand in for given steps."""

    Config, trains_on = NoConfig, "images"

    def __init__(self, trains_on="images", losses=None):
        super().__init__(nn.Identity(), NoConfig(), 0)
        self.weight = nn.Parameter(torch.zeros(()))
        self.trains_on, self.losses = trains_on, losses or {}
        self.weights, self.modes = [], []

    def loss(self, batch):
        self.weights.append(self.weight.item())
        self.modes.append(self.training)
        return (self.weight - 1) ** 2 * self.losses.get(len(self.weights), 1.0)

    def adapt(self, support_x_TSCHW, support_y_TS, n_way):
        raise NotImplementedError

    def predict(self, state, query_x_TQCHW):
        raise NotImplementedError


class Script:
    """A `validate` that gives these accuracies in turn and keeps the weights it saw."""

    def __init__(self, *accuracies, then=lambda: None):
        self.accuracies, self.then, self.seen = list(accuracies), then, []

    def __call__(self, learner):
        learner.eval()  # as `evaluate` leaves it
        self.seen.append({k: v.clone() for k, v in learner.state_dict().items()})
        self.then()
        return self.accuracies.pop(0) if self.accuracies else 0.5


class Slow(Toy):
    """A toy whose every step takes half a second, and the first one, as kernels load, 32."""

    def __init__(self, time):
        super().__init__()
        self.time = time

    def loss(self, batch):
        self.time.now += 0.5 if self.weights else 32
        return super().loss(batch)


def make_learner(name, filters=4):
    return small_learner(name, 6, filters, **ways_of(name, SMALL.n_way))


def same_weights(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


class Broken(ProtoNet):
    """A learner whose loss raises."""

    error: Exception = RuntimeError("no luck")

    def loss(self, batch):
        raise self.error


def run(learner, source, recipe=SMALL, validate=None, seed=0, say=lambda line: None):
    augment = AUGMENTS[recipe.augment]
    return train(learner, source, augment, validate or Script(), recipe, seed, CPU, say)
