"""The inner loop by other libraries, one episode at a time, to check against and to race.

They keep no running statistics, and do not checkpoint steps.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fewshot.errors import UserError
from fewshot.learners.inner_loop.algebra import InnerLoop, start_weights
from fewshot.learners.inner_loop.outer import Outer, over_chunks
from fewshot.protocols import EpisodeBatch

INSTALL = (
    "pip install cython setuptools wheel gym requests && pip install learn2learn --use-pep517 "
    "--no-build-isolation --config-settings=--global-option=build_ext --no-deps"
)


def higher(net: nn.Module, batch: EpisodeBatch, inner: InnerLoop) -> Outer:
    """Take the steps by `higher` (Grefenstette et al., 2019)."""
    import higher as library  # slow to import, and only here

    def constants(gradients: list[Tensor]) -> list[Tensor]:
        return [g.detach() for g in gradients]

    def outer_of(part: EpisodeBatch) -> Outer:
        optimizer = torch.optim.SGD(net.parameters(), inner.lr)
        with library.innerloop_ctx(net, optimizer, copy_initial_weights=False) as patched:
            module, differentiable = patched

            def step(loss: Tensor) -> None:
                # track_higher_grads=False would cut the path back to the start altogether.
                differentiable.step(loss, grad_callback=constants if inner.first_order else None)

            return _outer(net, module, step, part, inner)

    return over_chunks(outer_of, batch, 1)


def learn2learn(net: nn.Module, batch: EpisodeBatch, inner: InnerLoop) -> Outer:
    """Take the steps by learn2learn (Arnold et al., 2020); raises UserError where it is missing."""
    try:
        from learn2learn.algorithms import MAML
    except ImportError:
        raise UserError(f"the engine 'learn2learn' needs learn2learn: {INSTALL}") from None

    wrapper = MAML(net, lr=inner.lr, first_order=inner.first_order)

    def outer_of(part: EpisodeBatch) -> Outer:
        clone = wrapper.clone()
        return _outer(net, clone, clone.adapt, part, inner)

    return over_chunks(outer_of, batch, 1)


def _outer(
    net: nn.Module,
    module: nn.Module,
    step: Callable[[Tensor], None],
    batch: EpisodeBatch,
    inner: InnerLoop,
) -> Outer:
    """Return the outer gradient of one episode; `step` adapts `module` on a support loss."""
    (support_x, support_y), (query_x, query_y) = (
        (x[0], y[0]) for x, y in (batch.support, batch.query)
    )
    losses = []
    for number in range(1, inner.steps + 1):
        module.train()
        step(cross_entropy(module(support_x), support_y))
        if inner.per_step_losses or number == inner.steps:
            if inner.batch_norm == "support":
                module(support_x)  # leaves the support's statistics in the buffers
                module.eval()
            losses.append(cross_entropy(module(query_x), query_y))
    loss, start = torch.stack(losses).mean(), start_weights(net)
    gradients = torch.autograd.grad(loss, list(start.values()))
    return Outer(loss.detach(), dict(zip(start, gradients, strict=True)), {})
