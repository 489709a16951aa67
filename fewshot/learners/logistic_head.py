"""The logistic head on normalised features, which `mtl` and `transfer` fit at test."""

from typing import Any

from torch import Tensor
from torch.nn.functional import normalize

from fewshot.heads import logistic
from fewshot.protocols import Backbone, FeatureLearner


class LogisticHeadLearner(FeatureLearner):
    """The backbone is frozen and a new L2-regularised logistic head fitted on the support set.

    Features are scaled to unit norm. `config.c` is the inverse strength of the regulariser, as
    in scikit-learn. With `config.mirror` the feature of an image is the mean of its own and its
    mirror image's, at twice the time to embed. Inductive: each query image is scored by itself.
    """

    def __init__(self, backbone: Backbone, config: Any, n_classes: int) -> None:
        super().__init__(backbone, config, n_classes)
        self.views = 2 if config.mirror else 1

    def embed(self, x_ICHW: Tensor) -> Tensor:
        z_ID = self.backbone(x_ICHW)
        if self.config.mirror:
            z_ID = z_ID + self.backbone(x_ICHW.flip(-1))
        return normalize(z_ID, dim=-1)

    def adapt_features(
        self, support_z_TSD: Tensor, support_y_TS: Tensor, n_way: int
    ) -> logistic.LogisticHead:
        return logistic.fit(support_z_TSD, support_y_TS, n_way, c=self.config.c)

    def predict_features(self, state: logistic.LogisticHead, query_z_TQD: Tensor) -> Tensor:
        return logistic.logits(state, query_z_TQD)
