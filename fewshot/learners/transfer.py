"""Supervised transfer: a plain classifier of the training classes, then a logistic head."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from fewshot.config import added_later
from fewshot.learners.logistic_head import LogisticHeadLearner
from fewshot.protocols import Backbone, ImageBatch

MEAN_MOMENTUM = 0.02


@dataclass(frozen=True)
class TransferConfig:
    """`c`: inverse regularisation of the logistic head; `label_smoothing` while training.

    `center`: subtract the mean training feature before features are scaled to unit norm.
    """

    c: float = 1.0
    label_smoothing: float = 0.0
    center: bool = added_later(False)


class Transfer(LogisticHeadLearner):
    """RFS-simple: Tian et al., "Rethinking Few-Shot Image Classification", ECCV 2020.

    Training: softmax over all training classes at once. At test the backbone is frozen and a
    logistic regression fitted on the unit-norm features of the support set. Inductive.

    The paper's support augmentation is the benchmark's `scoring.support_copies`: a protocol, not
    a part of the learner. `center` is "CL2N" of Wang et al., "SimpleShot", 2019: features after a
    ReLU all point the same way, and only what they do not share tells classes apart.
    """

    Config = TransferConfig
    trains_on = "images"

    mean_D: Tensor | None

    def __init__(self, backbone: Backbone, config: Any, n_classes: int) -> None:
        super().__init__(backbone, config, n_classes)
        self.classifier = nn.Linear(backbone.out_dim, n_classes)
        mean_D = torch.zeros(backbone.out_dim) if config.center else None
        self.register_buffer("mean_D", mean_D)

    def loss(self, batch: ImageBatch) -> Tensor:
        z_ID = self.backbone(batch.x_ICHW)
        if self.mean_D is not None:  # a running mean, as batch norm keeps one
            self.mean_D.lerp_(z_ID.detach().mean(0), MEAN_MOMENTUM)
        logits = self.classifier(z_ID)
        return cross_entropy(logits, batch.y_I, label_smoothing=self.config.label_smoothing)

    def embed(self, x_ICHW: Tensor) -> Tensor:
        if self.mean_D is None:
            return super().embed(x_ICHW)
        return normalize(self.backbone(x_ICHW) - self.mean_D, dim=-1)
