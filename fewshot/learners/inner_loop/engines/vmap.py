"""All episodes of a batch at once with `torch.vmap`."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fewshot.learners.inner_loop.algebra import Call, InnerLoop, Values, training_mode
from fewshot.learners.inner_loop.outer import Outer, outer_in_chunks
from fewshot.protocols import EpisodeBatch


def vmap(
    net: nn.Module, batch: EpisodeBatch, inner: InnerLoop, episodes_at_once: int | None = None
) -> Outer:
    """Take `episodes_at_once` episodes in each kernel, all if None; memory grows with them."""
    size = episodes_at_once or len(batch.y_TM)
    return outer_in_chunks(net, call_many(net), batch, inner, size)


def call_many(net: nn.Module, weights_axis: int | None = 0) -> Call:
    """Return a `Call` for T episodes at once; with `weights_axis` None they share their weights."""

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
