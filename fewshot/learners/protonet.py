"""Prototypical networks: nearest class mean in a learned feature space."""

from dataclasses import dataclass

from torch import Tensor

from fewshot.heads.prototypes import class_means, squared_euclidean_logits
from fewshot.protocols import FeatureLearner


@dataclass(frozen=True)
class ProtoNetConfig:
    """`scale` multiplies the logits; the paper's own code has 1."""

    scale: float = 1.0


class ProtoNet(FeatureLearner):
    """Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning", NeurIPS 2017.

    logit_n(x) = -scale * ||f(x) - mean of the support features of class n||^2, the distance
    *squared*, as in the authors' code. At test nothing is adapted but the means. Inductive.

    >>> import torch
    >>> learner = ProtoNet(torch.nn.Flatten(), ProtoNetConfig(), n_classes=2)
    >>> black, white = torch.zeros(1, 1, 3, 4, 4), torch.ones(1, 1, 3, 4, 4)
    >>> support_x, support_y = torch.cat([black, white], dim=1), torch.tensor([[0, 1]])
    >>> means = learner.adapt(support_x, support_y, n_way=2)
    >>> learner.predict(means, 0.9 * white).argmax(-1)
    tensor([[1]])
    """

    Config = ProtoNetConfig
    trains_on = "episodes"

    def adapt_features(self, support_z_TSD: Tensor, support_y_TS: Tensor, n_way: int) -> Tensor:
        return class_means(support_z_TSD, support_y_TS, n_way)

    def predict_features(self, state: Tensor, query_z_TQD: Tensor) -> Tensor:
        return self.config.scale * squared_euclidean_logits(query_z_TQD, state)
