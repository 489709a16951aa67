"""All episodes of a batch at once with `torch.vmap`."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fewshot.learners.inner_loop import (
    Call,
    InnerLoop,
    Outer,
    Values,
    episode_buffers,
    outer_gradient,
    over_chunks,
    start_weights,
    training_mode,
)
from fewshot.protocols import EpisodeBatch


def vmap(
    net: nn.Module, batch: EpisodeBatch, inner: InnerLoop, episodes_at_once: int | None = None
) -> Outer:
    """Kernels over `episodes_at_once` episodes, all if None; memory grows with that number."""
    call, start = call_many(net), start_weights(net)

    def outer_of(part: EpisodeBatch) -> Outer:
        return outer_gradient(call, start, episode_buffers(net, len(part.y_TM)), part, inner)

    return over_chunks(outer_of, batch, episodes_at_once or len(batch.y_TM))


def call_many(net: nn.Module, weights_axis: int | None = 0) -> Call:
    """`Call` for T episodes at once; with `weights_axis` None they share their weights."""

    def one(weights: Values, buffers: Values, x_ICHW: Tensor) -> tuple[Tensor, Values]:
        state = {**weights, **buffers}
        out = functional_call(net, state, (x_ICHW,), tie_weights=False)
        return out, {k: state[k] for k in buffers}

    def call(
        weights: Values, buffers: Values, x_TICHW: Tensor, training: bool
    ) -> tuple[Tensor, Values]:
        with training_mode(net, training):
            return torch.vmap(one, in_dims=(weights_axis, 0, 0))(weights, buffers, x_TICHW)

    return call
