"""Almost no inner loop: MAML whose inner loop adapts the head alone."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from fewshot.learners.inner_loop.algebra import Values, episode_buffers, mean_loss
from fewshot.learners.inner_loop.engines.own import call_many
from fewshot.learners.inner_loop.learner import Adapted, GradientLearner
from fewshot.protocols import BatchNormMode, EpisodeBatch


@dataclass(frozen=True)
class ANILConfig:
    """The options of `MAMLConfig` that are left: every inner step is a matrix product."""

    n_way: int = 5
    inner_lr: float = 0.05
    inner_steps: int = 5
    test_inner_steps: int = 10
    batch_norm: BatchNormMode = "support"


class ANIL(GradientLearner):
    """Raghu et al., "Rapid Learning or Feature Reuse?", ICLR 2020; second order.

    Inner loop: gradient descent on the head's weights and bias, the features fixed. The backbone
    learns from the query loss alone, through the features of support and query. Its weights are
    the same in every episode, so all images go through it together, each episode with statistics
    of its own.
    """

    Config = ANILConfig

    def loss(self, batch: EpisodeBatch) -> Tensor:
        self.check_ways(batch.n_way)
        (support_x, support_y_TS), (query_x, query_y_TQ) = batch.support, batch.query
        buffers = episode_buffers(self.backbone, len(support_x))
        support_z_TSD, own = self._features(support_x, buffers, True)
        if self.batch_norm == "support":
            query_z_TQD, _ = self._features(query_x, own, False)
        else:
            query_z_TQD, after = self._features(query_x, own, True)
            self.keep_statistics({f"backbone.{k}": b.mean(0) for k, b in after.items()})
        heads = self._adapted_heads(support_z_TSD, support_y_TS, self.config.inner_steps)
        return mean_loss(_logits(query_z_TQD, *heads), query_y_TQ)

    def adapt(self, support_x_TSCHW: Tensor, support_y_TS: Tensor, n_way: int) -> Adapted:
        self.check_ways(n_way)
        buffers = episode_buffers(self.backbone, len(support_x_TSCHW))
        own = self.batch_norm != "running"
        support_z_TSD, after = self._features(support_x_TSCHW, buffers, own)
        steps = self.config.test_inner_steps
        weight_TND, bias_TN = self._adapted_heads(support_z_TSD, support_y_TS, steps)
        return Adapted({"weight": weight_TND, "bias": bias_TN}, after)

    def predict(self, state: Adapted, query_x_TQCHW: Tensor) -> Tensor:
        own = self.batch_norm == "query"
        query_z_TQD, _ = self._features(query_x_TQCHW, state.buffers, own)
        return _logits(query_z_TQD, state.weights["weight"], state.weights["bias"])

    def _features(self, x_TICHW: Tensor, buffers: Values, own: bool) -> tuple[Tensor, Values]:
        """Return z_TID with the statistics of each episode's images, or of the buffers."""
        call = call_many(self.backbone, weights_axis=None)
        return call(dict(self.backbone.named_parameters()), buffers, x_TICHW, own)

    def _adapted_heads(self, z_TSD: Tensor, y_TS: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Return weight_TND and bias_TN after gradient descent, its steps differentiable."""
        n_episodes, n_support = y_TS.shape
        weight_TND = self.head.weight.expand(n_episodes, -1, -1)
        bias_TN = self.head.bias.expand(n_episodes, -1)
        target_TSN = one_hot(y_TS, self.config.n_way)
        for _ in range(steps):
            # The gradient of the mean cross-entropy with respect to the logits.
            error_TSN = (_logits(z_TSD, weight_TND, bias_TN).softmax(-1) - target_TSN) / n_support
            weight_TND = weight_TND - self.config.inner_lr * error_TSN.mT @ z_TSD
            bias_TN = bias_TN - self.config.inner_lr * error_TSN.sum(1)
        return weight_TND, bias_TN


def _logits(z_TID: Tensor, weight_TND: Tensor, bias_TN: Tensor) -> Tensor:
    return torch.baddbmm(bias_TN.unsqueeze(1), z_TID, weight_TND.mT)
