"""The part that engines of other libraries share: an episode's query loss, by a module."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fewshot.learners.inner_loop.algebra import InnerLoop
from fewshot.protocols import EpisodeBatch


def episode_loss(
    module: nn.Module,
    step: Callable[[Tensor], None],
    batch: EpisodeBatch,
    inner: InnerLoop,
) -> Tensor:
    """Return the outer loss of one episode; `step` adapts `module` by a step on a support loss."""
    s = batch.n_support
    (support_x, query_x), (support_y, query_y) = (
        (part[0, :s], part[0, s:]) for part in (batch.x_TMCHW, batch.y_TM)
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
    return torch.stack(losses).mean()
