"""The outer gradient through an inner loop: unrolled, or step by step in less memory."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from fewshot.learners.inner_loop.algebra import (
    Call,
    InnerLoop,
    Support,
    Values,
    averaged,
    descend,
    episode_buffers,
    leaves,
    spread,
    start_weights,
)
from fewshot.protocols import EpisodeBatch


class Outer(NamedTuple):
    """Loss of an outer step (mean over episodes), its gradient by parameter name, new buffers."""

    loss: Tensor
    gradients: Values
    buffers: Values


class Engine(Protocol):
    """A way to compute the outer gradient of a batch of episodes; it changes nothing."""

    def __call__(self, net: nn.Module, batch: EpisodeBatch, inner: InnerLoop) -> Outer:
        """Return the outer loss of `net` as it stands, and its gradient."""


def outer_gradient(
    net: nn.Module, call: Call, batch: EpisodeBatch, inner: InnerLoop, size: int
) -> Outer:
    """Return the outer loss and gradient of a net as it stands, `size` episodes at a time."""
    start = start_weights(net)
    outer_of = _step_by_step if inner.checkpoint or inner.first_order else _unrolled

    def outer_of_part(part: EpisodeBatch) -> Outer:
        support = Support(call, episode_buffers(net, len(part.y_TM)), *part.support)
        return outer_of(support, start, part, inner)

    return over_chunks(outer_of_part, batch, size)


def _unrolled(support: Support, start: Values, batch: EpisodeBatch, inner: InnerLoop) -> Outer:
    """Return the outer gradient by autograd through all steps."""
    weights = spread(start, len(batch.y_TM))
    losses = []
    for step in range(1, inner.steps + 1):
        weights = descend(weights, support.gradient(weights, create_graph=True), inner.lr)
        if inner.per_step_losses or step == inner.steps:
            loss, after = support.query_loss(weights, *batch.query, inner.batch_norm)
            losses.append(loss)
    loss = torch.stack(losses).mean()
    slopes = torch.autograd.grad(loss, list(start.values()))
    return Outer(loss.detach(), dict(zip(start, slopes, strict=True)), averaged(after))


def _step_by_step(support: Support, start: Values, batch: EpisodeBatch, inner: InnerLoop) -> Outer:
    """Return the outer gradient by the chain rule, with one inner step in memory at a time.

    With w_k the weights after step k, L their support loss and v_k the gradient with respect to
    w_k: v_k = (I - lr * Hessian of L at w_k) v_{k+1}, plus the gradient of w_k's own query loss
    where there is one; the gradient is v_0. First order leaves the Hessian out.
    """
    path = [leaves(spread(start, len(batch.y_TM)))]
    for _ in range(inner.steps):
        gradients = support.gradient(path[-1], create_graph=False)
        path.append(leaves(descend(path[-1], gradients, inner.lr)))
    scored = range(1, inner.steps + 1) if inner.per_step_losses else [inner.steps]
    total, after = torch.zeros((), device=batch.x_TMCHW.device), support.buffers
    back: Values | None = None
    for step in range(inner.steps, -1, -1):
        weights = path.pop()
        if back is not None and not inner.first_order:
            slopes = support.gradient(weights, create_graph=True)
            curved = torch.autograd.grad(
                list(slopes.values()), list(weights.values()), list(back.values())
            )
            back = descend(back, dict(zip(weights, curved, strict=True)), inner.lr)
        if step in scored:
            loss, new_buffers = support.query_loss(weights, *batch.query, inner.batch_norm)
            own = torch.autograd.grad(loss / len(scored), list(weights.values()))
            total = total + loss.detach() / len(scored)
            if back is None:
                back, after = dict(zip(weights, own, strict=True)), new_buffers
            else:
                back = {k: v + o for (k, v), o in zip(back.items(), own, strict=True)}
    assert back is not None
    return Outer(total, {k: v.sum(0) for k, v in back.items()}, averaged(after))


def over_chunks(outer_of: Callable[[EpisodeBatch], Outer], batch: EpisodeBatch, size: int) -> Outer:
    """Return the outer gradient of a batch, `size` episodes at a time: exact, in less memory."""
    n_episodes = len(batch.y_TM)
    total: Outer | None = None
    for i in range(0, n_episodes, size):
        x, y, class_ids = (each[i : i + size] for each in batch[:3])
        part = EpisodeBatch(x, y, class_ids, batch.n_support)
        share, (loss, gradients, buffers) = len(part.y_TM) / n_episodes, outer_of(part)
        weighted = Outer(share * loss, _times(share, gradients), _times(share, buffers))
        total = weighted if total is None else _sum(total, weighted)
    assert total is not None
    return total


def _times(share: float, values: Values) -> Values:
    return {k: share * v for k, v in values.items()}


def _sum(one: Outer, other: Outer) -> Outer:
    gradients = {k: g + other.gradients[k] for k, g in one.gradients.items()}
    buffers = {k: b + other.buffers[k] for k, b in one.buffers.items()}
    return Outer(one.loss + other.loss, gradients, buffers)


def attach_gradients(loss: Tensor, parameters: Values, gradients: Values) -> Tensor:
    """Return the loss as a tensor whose `backward` hands these gradients to the parameters."""
    return _Attached.apply(loss, list(gradients.values()), *(parameters[k] for k in gradients))


class _Attached(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loss: Tensor, gradients: list[Tensor], *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return loss.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(grad_loss * g for g in ctx.gradients)
