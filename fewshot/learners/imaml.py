"""Meta-learning with implicit gradients: the inner loop's end alone matters, not its path."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from fewshot.learners.inner_loop.algebra import (
    Support,
    averaged,
    episode_buffers,
    start_weights,
)
from fewshot.learners.inner_loop.learner import GradientLearner
from fewshot.learners.inner_loop.outer import Outer, attach_gradients, over_chunks
from fewshot.protocols import BatchNormMode, EpisodeBatch


@dataclass(frozen=True)
class IMAMLConfig:
    """The options of `MAMLConfig`, and those of the implicit gradient.

    proximal: the paper's lambda, the pull of every inner step to the start. damping: solve with
    (1 + damping) I + H / lambda; the paper has none, its authors' code has 1. cg_steps: conjugate
    gradients at most. cg_tolerance: the residual, relative to the right side, at which they stop;
    a warning says so when `cg_steps` do not reach it.
    """

    n_way: int = 5
    inner_lr: float = 0.05
    inner_steps: int = 10
    test_inner_steps: int = 10
    batch_norm: BatchNormMode = "support"
    proximal: float = 0.5
    damping: float = 0.0
    cg_steps: int = 5
    cg_tolerance: float = 0.1


class IMAML(GradientLearner):
    """Rajeswaran et al., "Meta-Learning with Implicit Gradients", NeurIPS 2019.

    Inner problem: minimise L(w) + lambda/2 ||w - start||^2, L the support loss, by gradient
    descent with the pull in every step. With w its solution, H the Hessian of L there and v the
    gradient of the query loss, the outer gradient is the solution of (I + H / lambda) g = v,
    found by conjugate gradients: memory does not grow with the number of inner steps.

    Deviations from the authors' code, which pulls once after plain steps and solves with
    (1 + 1) I + H / (lambda + 10): here it is the paper's operator.
    """

    Config = IMAMLConfig

    def proximal(self) -> float:
        return self.config.proximal

    def loss(self, batch: EpisodeBatch) -> Tensor:
        self.check_ways(batch.n_way)
        at_once = len(batch.y_TM) if batch.x_TMCHW.is_cuda else 1
        outer = over_chunks(self._outer, batch, at_once)
        self.keep_statistics(outer.buffers)
        return attach_gradients(outer.loss, start_weights(self), outer.gradients)

    def _outer(self, batch: EpisodeBatch) -> Outer:
        c = self.config
        support = Support(self.calls(), episode_buffers(self, len(batch.y_TM)), *batch.support)
        weights = support.adapt(start_weights(self), self.inner_loop(c.inner_steps), c.proximal)
        loss, after = support.query_loss(weights, *batch.query, c.batch_norm)
        leaves = list(weights.values())
        right_TP = _flat(torch.autograd.grad(loss, leaves))
        slopes = support.gradient(weights, create_graph=True)

        def operator(x_TP: Tensor) -> Tensor:
            pieces = _like(x_TP, leaves)
            curved = torch.autograd.grad(list(slopes.values()), leaves, pieces, retain_graph=True)
            return (1 + c.damping) * x_TP + _flat(curved) / c.proximal

        flat_TP = right_TP / (1 + c.damping)
        solved = conjugate_gradients(operator, right_TP, c.cg_steps, c.cg_tolerance, flat_TP)
        if bool((solved.residual_T > c.cg_tolerance).any()):
            warnings.warn(
                f"iMAML: {c.cg_steps} steps of conjugate gradients leave a residual above "
                f"{c.cg_tolerance:g} of the right side: raise cg_steps or proximal",
                stacklevel=2,
            )
        summed = _like(solved.x_TP.sum(0, keepdim=True), leaves)
        gradients = {k: g.squeeze(0) for k, g in zip(weights, summed, strict=True)}
        return Outer(loss.detach(), gradients, averaged(after))


class Solved(NamedTuple):
    """Solutions x_TP of T systems, and their residuals relative to the right sides."""

    x_TP: Tensor
    residual_T: Tensor


def conjugate_gradients(
    operator: Callable[[Tensor], Tensor],
    right_TP: Tensor,
    steps: int,
    tolerance: float,
    otherwise_TP: Tensor,
) -> Solved:
    """Solve A x = b for T systems at once (Hestenes and Stiefel, 1952).

    operator: x_TP to A x, symmetric. Starts from x = 0. A system stops where a direction of no
    positive curvature turns up, since its A is not positive definite; with `otherwise_TP` if that
    is the first direction: the solution for no curvature at all, so that a network still learns
    from it as first-order methods do.
    """
    x_TP, residual_TP = torch.zeros_like(right_TP), right_TP
    direction_TP, square_T = residual_TP, residual_TP.square().sum(1)
    scale_T = square_T.clamp_min(torch.finfo(right_TP.dtype).tiny)
    going_T = square_T > 0
    for number in range(steps):
        if not going_T.any():
            break
        image_TP = operator(direction_TP)
        curvature_T = (direction_TP * image_TP).sum(1)
        if number == 0:
            x_TP = torch.where((curvature_T > 0).unsqueeze(1), x_TP, otherwise_TP)
        going_T = going_T & (curvature_T > 0)
        step_T = torch.where(going_T, square_T / curvature_T, 0.0).unsqueeze(1)
        x_TP, residual_TP = x_TP + step_T * direction_TP, residual_TP - step_T * image_TP
        new_square_T = residual_TP.square().sum(1)
        going_T = going_T & (new_square_T > tolerance**2 * scale_T)
        turn_T = torch.where(going_T, new_square_T / square_T, 0.0).unsqueeze(1)
        direction_TP, square_T = residual_TP + turn_T * direction_TP, new_square_T
    return Solved(x_TP, (square_T / scale_T).sqrt())


def _flat(tensors: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([t.flatten(1) for t in tensors], dim=1)


def _like(x_TP: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """Return the parameters of each episode cut into pieces shaped as the leaves."""
    pieces = x_TP.split([leaf[0].numel() for leaf in leaves], dim=1)
    return [p.unflatten(1, leaf.shape[1:]) for p, leaf in zip(pieces, leaves, strict=True)]
