"""The algebra of an inner loop: gradients, steps and statistics of many episodes.

A *net* is an `nn.Module` from images to logits whose batch norm is the suite's own. Its weights
and buffers travel as values: dicts from names to tensors with a leading axis T, an entry an
episode. The functions here do the mathematics once, for one episode or for many, and an engine says
how a net is called.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fewshot.protocols import BatchNormMode

Values = dict[str, Tensor]


@dataclass(frozen=True)
class InnerLoop:
    """The work inside an episode: `steps` of gradient descent at rate `lr` on the support.

    The support loss is the *mean* cross-entropy, so the MAML paper's 0.01 on a sum over the ways
    is 0.05 here (5 ways). first_order: the inner gradients count as constants in the outer one.
    batch_norm: whose statistics normalise the query images; the support is normalised by its
    own, but for `running` at test. per_step_losses: the outer loss is the mean of the query
    losses after every step, not the last alone ("How to train your MAML", Antoniou et al., 2019,
    without the annealing of its weights). checkpoint: keep only the weights of each step and
    compute the step again on the way back: the same gradient, the memory of one step.
    episodes_at_once: how many `vmap` holds in memory together; None: all.
    """

    lr: float
    steps: int
    first_order: bool = False
    batch_norm: BatchNormMode = "support"
    per_step_losses: bool = False
    checkpoint: bool = False
    episodes_at_once: int | None = None


class Call(Protocol):
    """A way to call a net on T episodes: x_TICHW to logits_TIN, and the buffers after it."""

    def __call__(
        self, weights: Values, buffers: Values, x_TICHW: Tensor, training: bool
    ) -> tuple[Tensor, Values]:
        """Call it; with `training`, batch norm uses the statistics of each episode's own images."""


def mean_loss(logits_TIN: Tensor, y_TI: Tensor) -> Tensor:
    """Return the mean cross-entropy over all images of all episodes."""
    return cross_entropy(logits_TIN.flatten(0, 1), y_TI.flatten())


@dataclass(frozen=True)
class Support:
    """The support of T episodes, the way to call a net on it, and the net's buffers.

    own_statistics: batch norm uses those of each episode's support, not what the buffers hold.
    """

    call: Call
    buffers: Values
    x_TSCHW: Tensor
    y_TS: Tensor
    own_statistics: bool = True

    def gradient(self, weights: Values, create_graph: bool) -> Values:
        """Return the gradient of each episode's support loss at its own weights."""
        logits_TSN, _ = self.call(weights, self.buffers, self.x_TSCHW, self.own_statistics)
        # Episodes do not touch each other: the sum of their losses has the gradients of each.
        loss = mean_loss(logits_TSN, self.y_TS) * len(self.y_TS)
        gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=create_graph)
        return dict(zip(weights, gradients, strict=True))

    def statistics(self, weights: Values) -> Values:
        """Return buffers that hold the statistics of the support images under these weights."""
        return self.call(weights, self.buffers, self.x_TSCHW, True)[1]

    def query_loss(
        self, weights: Values, query_x_TQCHW: Tensor, query_y_TQ: Tensor, batch_norm: BatchNormMode
    ) -> tuple[Tensor, Values]:
        """Return the mean loss of the queries in training, and the buffers after that."""
        by_support = batch_norm == "support"
        buffers = self.statistics(weights) if by_support else self.buffers
        logits_TQN, after = self.call(weights, buffers, query_x_TQCHW, not by_support)
        return mean_loss(logits_TQN, query_y_TQ), after

    def adapt(self, start: Values, inner: InnerLoop, proximal: float) -> Values:
        """Return the weights after the inner loop, as leaves without a history.

        proximal: the strength of a pull back to `start` in every step (iMAML).
        """
        weights = origin = leaves(spread(start, len(self.y_TS)))
        with torch.enable_grad():
            for _ in range(inner.steps):
                gradients = self.gradient(weights, create_graph=False)
                if proximal:
                    gradients = {
                        k: g + proximal * (weights[k].detach() - origin[k].detach())
                        for k, g in gradients.items()
                    }
                weights = leaves(descend(weights, gradients, inner.lr))
        return weights


def descend(weights: Values, gradients: Values, lr: float) -> Values:
    """Return the weights after one step of gradient descent."""
    return {k: torch.sub(w, gradients[k], alpha=lr) for k, w in weights.items()}


def start_weights(net: nn.Module) -> Values:
    """Return the parameters of a net: leaves, without the axis T."""
    return dict(net.named_parameters())


def episode_buffers(net: nn.Module, n_episodes: int) -> Values:
    """Return the floating-point buffers of a net, once for each of T episodes."""
    return spread({k: b for k, b in net.named_buffers() if b.is_floating_point()}, n_episodes)


@contextmanager
def training_mode(net: nn.Module, training: bool) -> Iterator[None]:
    """Set a net to training or evaluation for a while."""
    before = net.training
    if training != before:
        net.train(training)
    try:
        yield
    finally:
        if training != before:
            net.train(before)


def spread(values: Values, n_episodes: int) -> Values:
    """Return the values once for each episode, as views."""
    return {k: v.expand(n_episodes, *v.shape) for k, v in values.items()}


def leaves(values: Values) -> Values:
    """Return the values without their history, ready to be differentiated by."""
    return {k: v.detach().requires_grad_() for k, v in values.items()}


def averaged(buffers: Values) -> Values:
    """Return buffers without their history, their mean over the episodes."""
    return {k: b.detach().mean(0) for k, b in buffers.items()}
