"""The inner loop by learn2learn (Arnold et al., 2020), to check against and to race."""

import torch
from torch import Tensor, nn

from fewshot.errors import UserError
from fewshot.learners.inner_loop.algebra import InnerLoop
from fewshot.learners.inner_loop.engines.module import episode_loss
from fewshot.learners.inner_loop.outer import Outer, over_chunks
from fewshot.protocols import EpisodeBatch

INSTALL = (
    "pip install cython setuptools wheel gym requests && pip install learn2learn --use-pep517 "
    "--no-build-isolation --config-settings=--global-option=build_ext --no-deps"
)


def learn2learn(net: nn.Module, batch: EpisodeBatch, inner: InnerLoop) -> Outer:
    """Take one episode at a time. Does not keep running statistics, nor checkpoint steps."""
    try:
        from learn2learn.algorithms import MAML
    except ImportError:
        raise UserError(f"the engine 'learn2learn' needs learn2learn: {INSTALL}") from None

    names = [name for name, _ in net.named_parameters()]
    wrapper = MAML(net, lr=inner.lr, first_order=inner.first_order)

    def outer_of(part: EpisodeBatch) -> Outer:
        clone = wrapper.clone()

        def step(loss: Tensor) -> None:
            clone.adapt(loss)

        loss = episode_loss(clone, step, part, inner)
        gradients = torch.autograd.grad(loss, list(net.parameters()))
        return Outer(loss.detach(), dict(zip(names, gradients, strict=True)), {})

    return over_chunks(outer_of, batch, 1)
