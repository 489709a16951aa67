"""The inner loop of gradient-based learners: what an engine is given and gives back.

A *net* is an `nn.Module` from images to logits whose batch norm is the suite's own. Its weights
and buffers travel as values: dicts from names to tensors with a leading axis T, an entry an
episode. The functions here do the mathematics once, for one episode or for many, and the engines
in `learners/engines/` say how a net is called.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fewshot.protocols import BatchNormMode, EpisodeBatch

Values = dict[str, Tensor]


@dataclass(frozen=True)
class InnerLoop:
    """What is done inside an episode: `steps` of gradient descent at rate `lr` on the support.

    The support loss is the *mean* cross-entropy, so the MAML paper's 0.01 on a sum over the ways
    is 0.05 here (5 ways). first_order: the inner gradients count as constants in the outer one.
    batch_norm: whose statistics normalise the query images; the support is normalised by its
    own, but for `running` at test. per_step_losses: the outer loss is the mean of the query
    losses after every step, not the last alone ("How to train your MAML", Antoniou et al., 2019,
    without the annealing of its weights). checkpoint: keep only the weights of each step and
    compute the step again on the way back: the same gradient, the memory of one step.
    """

    lr: float
    steps: int
    first_order: bool = False
    batch_norm: BatchNormMode = "support"
    per_step_losses: bool = False
    checkpoint: bool = False


class Outer(NamedTuple):
    """Loss of the outer step (mean over episodes), its gradient by parameter name, new buffers."""

    loss: Tensor
    gradients: Values
    buffers: Values


class Engine(Protocol):
    """Computes the outer gradient of a batch of episodes; changes nothing."""

    def __call__(self, net: nn.Module, batch: EpisodeBatch, inner: InnerLoop) -> Outer:
        """The outer loss of `net` as it stands, and its gradient."""


class Call(Protocol):
    """Calls a net on T episodes of images: x_TICHW to logits_TIN, and the buffers after it."""

    def __call__(
        self, weights: Values, buffers: Values, x_TICHW: Tensor, training: bool
    ) -> tuple[Tensor, Values]:
        """With `training`, batch norm uses the statistics of each episode's own images."""


def mean_loss(logits_TIN: Tensor, y_TI: Tensor) -> Tensor:
    """Mean cross-entropy over all images of all episodes."""
    return cross_entropy(logits_TIN.flatten(0, 1), y_TI.flatten())


def support_gradient(
    call: Call,
    weights: Values,
    buffers: Values,
    x_TSCHW: Tensor,
    y_TS: Tensor,
    training: bool,
    create_graph: bool,
) -> Values:
    """The gradient of each episode's support loss at its own weights."""
    logits_TSN, _ = call(weights, buffers, x_TSCHW, training)
    # Episodes do not touch each other: the gradient of the sum of their losses is all of theirs.
    loss = mean_loss(logits_TSN, y_TS) * len(y_TS)
    gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=create_graph)
    return dict(zip(weights, gradients, strict=True))


def descend(weights: Values, gradients: Values, lr: float) -> Values:
    """One step of gradient descent."""
    return {k: torch.sub(w, gradients[k], alpha=lr) for k, w in weights.items()}


def query_logits(
    call: Call,
    weights: Values,
    buffers: Values,
    support_x_TSCHW: Tensor,
    query_x_TQCHW: Tensor,
    batch_norm: BatchNormMode,
    training: bool,
) -> tuple[Tensor, Values]:
    """Logits_TQN of the query images under the chosen statistics, and the buffers after that."""
    if batch_norm == "support":
        buffers = support_statistics(call, weights, buffers, support_x_TSCHW)
        return call(weights, buffers, query_x_TQCHW, False)
    return call(weights, buffers, query_x_TQCHW, training or batch_norm == "query")


def support_statistics(
    call: Call, weights: Values, buffers: Values, support_x_TSCHW: Tensor
) -> Values:
    """Buffers that hold the statistics of the support images under these weights."""
    return call(weights, buffers, support_x_TSCHW, True)[1]


def outer_gradient(
    call: Call, start: Values, buffers: Values, batch: EpisodeBatch, inner: InnerLoop
) -> Outer:
    """Loss and gradient at the weights that T episodes start from, unrolled by autograd.

    start: leaves without the axis T. buffers: with it.
    """
    if inner.checkpoint or inner.first_order:
        return _outer_gradient_step_by_step(call, start, buffers, batch, inner)
    s, n_episodes = batch.n_support, len(batch.y_TM)
    support_x, support_y = batch.x_TMCHW[:, :s], batch.y_TM[:, :s]
    weights = _spread(start, n_episodes)
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
    """The same by the chain rule, one inner step in memory at a time.

    With w_k the weights after step k, L their support loss and v_k the gradient with respect to
    w_k: v_k = (I - lr * Hessian of L at w_k) v_{k+1}, plus the gradient of w_k's own query loss
    where there is one; the gradient is v_0. First order leaves the Hessian out.
    """
    s, n_episodes = batch.n_support, len(batch.y_TM)
    support = batch.x_TMCHW[:, :s], batch.y_TM[:, :s]
    path = [_leaves(_spread(start, n_episodes))]
    for _ in range(inner.steps):
        gradients = support_gradient(call, path[-1], buffers, *support, True, False)
        path.append(_leaves(descend(path[-1], gradients, inner.lr)))
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


def adapt(
    call: Call,
    start: Values,
    buffers: Values,
    support_x_TSCHW: Tensor,
    support_y_TS: Tensor,
    inner: InnerLoop,
    proximal: float = 0.0,
    training: bool = False,
) -> Values:
    """The weights after the inner loop, as leaves without a history.

    proximal: the strength of a pull back to `start` in every step (iMAML).
    """
    batch_statistics = training or inner.batch_norm != "running"
    origin = _leaves(_spread(start, len(support_y_TS)))
    weights = origin
    with torch.enable_grad():
        for _ in range(inner.steps):
            gradients = support_gradient(
                call, weights, buffers, support_x_TSCHW, support_y_TS, batch_statistics, False
            )
            if proximal:
                gradients = {
                    k: g + proximal * (weights[k].detach() - origin[k].detach())
                    for k, g in gradients.items()
                }
            weights = _leaves(descend(weights, gradients, inner.lr))
    return weights


def outer_in_chunks(
    net: nn.Module, call: Call, batch: EpisodeBatch, inner: InnerLoop, size: int
) -> Outer:
    """The outer gradient of a net as it stands, `size` episodes at a time."""
    start = start_weights(net)

    def outer_of(part: EpisodeBatch) -> Outer:
        return outer_gradient(call, start, episode_buffers(net, len(part.y_TM)), part, inner)

    return over_chunks(outer_of, batch, size)


def over_chunks(outer_of: Callable[[EpisodeBatch], Outer], batch: EpisodeBatch, size: int) -> Outer:
    """The outer gradient of a batch from those of `size` episodes at a time: exact, less memory."""
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


def start_weights(net: nn.Module) -> Values:
    """The parameters of a net: leaves, without the axis T."""
    return dict(net.named_parameters())


def episode_buffers(net: nn.Module, n_episodes: int) -> Values:
    """The floating-point buffers of a net, once for each of T episodes."""
    return _spread({k: b for k, b in net.named_buffers() if b.is_floating_point()}, n_episodes)


def attach_gradients(loss: Tensor, parameters: Values, gradients: Values) -> Tensor:
    """The loss as a tensor whose `backward` hands these gradients to the parameters."""
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


def _spread(values: Values, n_episodes: int) -> Values:
    return {k: v.expand(n_episodes, *v.shape) for k, v in values.items()}


def _leaves(values: Values) -> Values:
    return {k: v.detach().requires_grad_() for k, v in values.items()}


def averaged(buffers: Values) -> Values:
    """Buffers without their history, their mean over the episodes."""
    return {k: b.detach().mean(0) for k, b in buffers.items()}
