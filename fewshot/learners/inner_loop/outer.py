"""The outer gradient through an inner loop: unrolled, or step by step in less memory."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from fewshot.learners.inner_loop.algebra import (
    Call,
    InnerLoop,
    Values,
    averaged,
    descend,
    episode_buffers,
    leaves,
    mean_loss,
    query_logits,
    spread,
    start_weights,
    support_gradient,
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
    call: Call, start: Values, buffers: Values, batch: EpisodeBatch, inner: InnerLoop
) -> Outer:
    """Return loss and gradient at the weights that T episodes start from, unrolled by autograd.

    start: leaves without the axis T. buffers: with it.
    """
    if inner.checkpoint or inner.first_order:
        return _outer_gradient_step_by_step(call, start, buffers, batch, inner)
    s, n_episodes = batch.n_support, len(batch.y_TM)
    support_x, support_y = batch.x_TMCHW[:, :s], batch.y_TM[:, :s]
    weights = spread(start, n_episodes)
    losses = []
    for step in range(1, inner.steps + 1):
        gradients = support_gradient(call, weights, buffers, support_x, support_y, True, True)
        weights = descend(weights, gradients, inner.lr)
        if inner.per_step_losses or step == inner.steps:
            loss, after = _query_loss(call, weights, buffers, batch, inner)
            losses.append(loss)
    loss = torch.stack(losses).mean()
    slopes = torch.autograd.grad(loss, list(start.values()))
    return Outer(loss.detach(), dict(zip(start, slopes, strict=True)), averaged(after))


def _outer_gradient_step_by_step(
    call: Call, start: Values, buffers: Values, batch: EpisodeBatch, inner: InnerLoop
) -> Outer:
    """Return them by the chain rule, with one inner step in memory at a time.

    With w_k the weights after step k, L their support loss and v_k the gradient with respect to
    w_k: v_k = (I - lr * Hessian of L at w_k) v_{k+1}, plus the gradient of w_k's own query loss
    where there is one; the gradient is v_0. First order leaves the Hessian out.
    """
    s, n_episodes = batch.n_support, len(batch.y_TM)
    support = batch.x_TMCHW[:, :s], batch.y_TM[:, :s]
    path = [leaves(spread(start, n_episodes))]
    for _ in range(inner.steps):
        gradients = support_gradient(call, path[-1], buffers, *support, True, False)
        path.append(leaves(descend(path[-1], gradients, inner.lr)))
    scored = range(1, inner.steps + 1) if inner.per_step_losses else [inner.steps]
    total, after = torch.zeros((), device=batch.x_TMCHW.device), buffers
    back: Values | None = None
    for step in range(inner.steps, -1, -1):
        weights = path.pop()
        if back is not None and not inner.first_order:
            gradients = support_gradient(call, weights, buffers, *support, True, True)
            curved = torch.autograd.grad(
                list(gradients.values()), list(weights.values()), list(back.values())
            )
            back = descend(back, dict(zip(weights, curved, strict=True)), inner.lr)
        if step in scored:
            loss, new_buffers = _query_loss(call, weights, buffers, batch, inner)
            own = torch.autograd.grad(loss / len(scored), list(weights.values()))
            total = total + loss.detach() / len(scored)
            if back is None:
                back, after = dict(zip(weights, own, strict=True)), new_buffers
            else:
                back = {k: v + o for (k, v), o in zip(back.items(), own, strict=True)}
    assert back is not None
    return Outer(total, {k: v.sum(0) for k, v in back.items()}, averaged(after))


def _query_loss(
    call: Call, weights: Values, buffers: Values, batch: EpisodeBatch, inner: InnerLoop
) -> tuple[Tensor, Values]:
    s = batch.n_support
    logits_TQN, after = query_logits(
        call, weights, buffers, batch.x_TMCHW[:, :s], batch.x_TMCHW[:, s:], inner.batch_norm, True
    )
    return mean_loss(logits_TQN, batch.y_TM[:, s:]), after


def outer_in_chunks(
    net: nn.Module, call: Call, batch: EpisodeBatch, inner: InnerLoop, size: int
) -> Outer:
    """Return the outer gradient of a net as it stands, `size` episodes at a time."""
    start = start_weights(net)

    def outer_of(part: EpisodeBatch) -> Outer:
        return outer_gradient(call, start, episode_buffers(net, len(part.y_TM)), part, inner)

    return over_chunks(outer_of, batch, size)


def over_chunks(outer_of: Callable[[EpisodeBatch], Outer], batch: EpisodeBatch, size: int) -> Outer:
    """Return the outer gradient of a batch, `size` episodes at a time: exact, in less memory."""
    n_episodes = len(batch.y_TM)
    total: Outer | None = None
    for i in range(0, n_episodes, size):
        part = batch._replace(
            x_TMCHW=batch.x_TMCHW[i : i + size],
            y_TM=batch.y_TM[i : i + size],
            class_ids_TN=batch.class_ids_TN[i : i + size],
        )
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
    names = list(gradients)
    return _Attached.apply(
        loss, len(names), *(gradients[k] for k in names), *(parameters[k] for k in names)
    )


class _Attached(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loss: Tensor, n: int, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors[:n])
        return loss.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        gradients = ctx.saved_tensors
        return None, None, *(None for _ in gradients), *(grad_loss * g for g in gradients)
