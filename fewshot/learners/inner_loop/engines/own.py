"""The suite's own engines, by `functional_call` and autograd: one episode at a time, or all."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fewshot.learners.inner_loop.algebra import Call, InnerLoop, Values, training_mode
from fewshot.learners.inner_loop.outer import Outer, outer_gradient
from fewshot.protocols import EpisodeBatch


def loop(net: nn.Module, batch: EpisodeBatch, inner: InnerLoop) -> Outer:
    """Take one episode at a time, so memory is that of one episode: the reference."""
    return outer_gradient(net, call_each(net), batch, inner, 1)


def vmap(net: nn.Module, batch: EpisodeBatch, inner: InnerLoop) -> Outer:
    """Take `inner.episodes_at_once` episodes in each kernel; memory grows with them."""
    size = inner.episodes_at_once or len(batch.y_TM)
    return outer_gradient(net, call_many(net), batch, inner, size)


def call_each(net: nn.Module) -> Call:
    """Return a `Call` for T episodes in turn: plain operations, which a CPU runs fastest."""

    def call(
        weights: Values, buffers: Values, x_TICHW: Tensor, training: bool
    ) -> tuple[Tensor, Values]:
        if len(x_TICHW) > 1:
            parts = [
                call(_entry(weights, t), _entry(buffers, t), x_TICHW[t : t + 1], training)
                for t in range(len(x_TICHW))
            ]
            logits_TIN = torch.cat([logits for logits, _ in parts])
            return logits_TIN, {k: torch.cat([after[k] for _, after in parts]) for k in buffers}
        # functional_call leaves what the net assigns to its buffers in the dict.
        state = {k: v.squeeze(0) for k, v in {**weights, **buffers}.items()}
        with training_mode(net, training):
            logits_IN = functional_call(net, state, (x_TICHW.squeeze(0),), tie_weights=False)
        return logits_IN.unsqueeze(0), {k: state[k].unsqueeze(0) for k in buffers}

    return call


def _entry(values: Values, t: int) -> Values:
    return {k: v[t : t + 1] for k, v in values.items()}


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
