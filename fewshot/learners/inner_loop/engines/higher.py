"""The inner loop by `higher` (Grefenstette et al., 2019), to check against and to race."""

import torch
from torch import Tensor, nn

from fewshot.learners.inner_loop.algebra import InnerLoop
from fewshot.learners.inner_loop.engines.module import episode_loss
from fewshot.learners.inner_loop.outer import Outer, over_chunks
from fewshot.protocols import EpisodeBatch


def higher(net: nn.Module, batch: EpisodeBatch, inner: InnerLoop) -> Outer:
    """Take one episode at a time. Does not keep running statistics, nor checkpoint steps."""
    import higher as library  # slow to import, and only here

    names = [name for name, _ in net.named_parameters()]

    def constants(gradients: list[Tensor]) -> list[Tensor]:
        return [g.detach() for g in gradients]

    def outer_of(part: EpisodeBatch) -> Outer:
        optimizer = torch.optim.SGD(net.parameters(), inner.lr)
        with library.innerloop_ctx(net, optimizer, copy_initial_weights=False) as patched:
            module, differentiable = patched

            def step(loss: Tensor) -> None:
                # track_higher_grads=False would cut the path back to the start altogether.
                differentiable.step(loss, grad_callback=constants if inner.first_order else None)

            loss = episode_loss(module, step, part, inner)
            gradients = torch.autograd.grad(loss, list(net.parameters()))
        return Outer(loss.detach(), dict(zip(names, gradients, strict=True)), {})

    return over_chunks(outer_of, batch, 1)
