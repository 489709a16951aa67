"""Episode after episode with `functional_call` and autograd: the reference."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fewshot.learners.inner_loop.algebra import Call, InnerLoop, Values, training_mode
from fewshot.learners.inner_loop.outer import Outer, outer_in_chunks
from fewshot.protocols import EpisodeBatch


def loop(net: nn.Module, batch: EpisodeBatch, inner: InnerLoop) -> Outer:
    """Take one episode at a time, so memory is that of one episode."""
    return outer_in_chunks(net, call_one(net), batch, inner, 1)


def call_one(net: nn.Module) -> Call:
    """Return a `Call` for a single episode: plain operations, which a CPU runs fastest."""

    def call(
        weights: Values, buffers: Values, x_TICHW: Tensor, training: bool
    ) -> tuple[Tensor, Values]:
        # functional_call leaves what the net assigns to its buffers in the dict.
        state = {k: v.squeeze(0) for k, v in {**weights, **buffers}.items()}
        with training_mode(net, training):
            logits_IN = functional_call(net, state, (x_TICHW.squeeze(0),), tie_weights=False)
        return logits_IN.unsqueeze(0), {k: state[k].unsqueeze(0) for k in buffers}

    return call


def call_each(net: nn.Module) -> Call:
    """Return a `Call` for T episodes, one after another."""
    one = call_one(net)

    def call(
        weights: Values, buffers: Values, x_TICHW: Tensor, training: bool
    ) -> tuple[Tensor, Values]:
        parts = [
            one(_entry(weights, t), _entry(buffers, t), x_TICHW[t : t + 1], training)
            for t in range(len(x_TICHW))
        ]
        logits_TIN = torch.cat([logits for logits, _ in parts])
        return logits_TIN, {k: torch.cat([after[k] for _, after in parts]) for k in buffers}

    return call


def _entry(values: Values, t: int) -> Values:
    return {k: v[t : t + 1] for k, v in values.items()}
