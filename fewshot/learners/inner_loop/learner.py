"""The learner with an inner loop: a net, its statistics, adapting and predicting."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fewshot.errors import UserError
from fewshot.learners.inner_loop.algebra import (
    Call,
    InnerLoop,
    Support,
    Values,
    episode_buffers,
    start_weights,
)
from fewshot.learners.inner_loop.engines.graphed import Graphed
from fewshot.learners.inner_loop.engines.own import call_each, call_many
from fewshot.protocols import Backbone, Learner

KEPT = 0.9  # of the running statistics at each outer step; nn.BatchNorm2d's momentum is 1 - KEPT


class Adapted(NamedTuple):
    """Weights and buffers of T adapted nets."""

    weights: Values
    buffers: Values


class GradientLearner(Learner):
    """A backbone and a linear head of `config.n_way` outputs, adapted by gradient descent.

    `config.batch_norm` says whose statistics normalise the query images: those of the support
    set under the adapted weights (`support`, inductive), the query images' own (`query`,
    transductive, as most published numbers of this family were made), or the average over
    training (`running`). The head is tied to the labels' order.
    """

    trains_on = "episodes"
    label_tied = True
    differentiable_norm = True

    def __init__(self, backbone: Backbone, config: Any, n_classes: int) -> None:
        super().__init__(backbone, config, n_classes)
        self.batch_norm = config.batch_norm
        self.transductive = config.batch_norm == "query"
        self.head = nn.Linear(backbone.out_dim, config.n_way)
        self._adapted_graph = Graphed(self._adapted)

    def forward(self, x_ICHW: Tensor) -> Tensor:
        """Return logits_IN of images under the weights as they stand."""
        return self.head(self.backbone(x_ICHW))

    def inner_loop(self, steps: int) -> InnerLoop:
        """Return the inner loop of this many steps."""
        return InnerLoop(self.config.inner_lr, steps, batch_norm=self.config.batch_norm)

    def calls(self) -> Call:
        """Return the way to call the net at test: on a GPU, where it is faster, all at once."""
        return call_many(self) if next(self.parameters()).is_cuda else call_each(self)

    def adapt(self, support_x_TSCHW: Tensor, support_y_TS: Tensor, n_way: int) -> Adapted:
        self.check_ways(n_way)
        if not support_x_TSCHW.is_cuda:
            return self._adapted(support_x_TSCHW, support_y_TS)
        weights, buffers = self._adapted_graph(support_x_TSCHW, support_y_TS)
        return Adapted(*({k: v.clone() for k, v in part.items()} for part in (weights, buffers)))

    def _adapted(self, support_x_TSCHW: Tensor, support_y_TS: Tensor) -> Adapted:
        buffers, own = episode_buffers(self, len(support_y_TS)), self.batch_norm != "running"
        support = Support(self.calls(), buffers, support_x_TSCHW, support_y_TS, own)
        inner = self.inner_loop(self.config.test_inner_steps)
        weights = support.adapt(start_weights(self), inner, self.proximal())
        with torch.no_grad():
            if self.batch_norm == "support":
                buffers = support.statistics(weights)
        return Adapted({k: w.detach() for k, w in weights.items()}, buffers)

    def predict(self, state: Adapted, query_x_TQCHW: Tensor) -> Tensor:
        return self.calls()(*state, query_x_TQCHW, self.batch_norm == "query")[0]

    def proximal(self) -> float:
        """Return the strength of the pull back to the start in the inner loop."""
        return 0.0

    def check_ways(self, n_way: int) -> None:
        """Raise UserError unless the head has this many outputs."""
        if n_way != self.config.n_way:
            raise UserError(
                f"a head of {self.config.n_way} rows on {n_way}-way episodes: "
                f"set learner_options.n_way = {n_way}"
            )

    @torch.no_grad()
    def keep_statistics(self, buffers: Values) -> None:
        """Move the running statistics towards these, where they are used at test."""
        if self.batch_norm == "running":
            for name, buffer in self.named_buffers():
                if name in buffers:
                    buffer.lerp_(buffers[name].to(buffer.dtype), 1 - KEPT)
