"""Nearest centroid on raw pixels: the floor of every table."""

from dataclasses import dataclass

from torch import Tensor

from fewshot.heads.prototypes import class_means, squared_euclidean_logits
from fewshot.protocols import FeatureLearner


@dataclass(frozen=True)
class PixelsConfig:
    """There is nothing to choose."""


class Pixels(FeatureLearner):
    """Untrained: squared distance to the class means of the normalised pixels. Inductive.

    What a data set gives away without any learning; a learner that does not beat it has not
    learned. The backbone is not used.
    """

    Config = PixelsConfig
    trains_on = "nothing"

    def embed(self, x_ICHW: Tensor) -> Tensor:
        return x_ICHW.flatten(1)

    def adapt_features(self, support_z_TSD: Tensor, support_y_TS: Tensor, n_way: int) -> Tensor:
        return class_means(support_z_TSD, support_y_TS, n_way)

    def predict_features(self, state: Tensor, query_z_TQD: Tensor) -> Tensor:
        return squared_euclidean_logits(query_z_TQD, state)
