"""Supervised transfer: a plain classifier of the training classes, then a logistic head."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fewshot.learners.logistic_head import LogisticHeadLearner
from fewshot.options import option
from fewshot.protocols import Backbone, ImageBatch


@dataclass(frozen=True)
class TransferConfig:
    """`label_smoothing` while training. `c`, `mirror`: see `LogisticHeadLearner`."""

    c: float = option(1.0, test_only=True)
    label_smoothing: float = 0.0
    mirror: bool = option(False, test_only=True, added_later=True)


class Transfer(LogisticHeadLearner):
    """RFS-simple: Tian et al., "Rethinking Few-Shot Image Classification", ECCV 2020.

    Training: softmax over all training classes at once. At test the backbone is frozen and a
    logistic regression fitted on the unit-norm features of the support set. Inductive.

    The paper's support augmentation is the benchmark's `scoring.support_copies`: a protocol, not
    a part of the learner.
    """

    Config = TransferConfig
    trains_on = "images"

    def __init__(self, backbone: Backbone, config: Any, n_classes: int) -> None:
        super().__init__(backbone, config, n_classes)
        self.classifier = nn.Linear(backbone.out_dim, n_classes)

    def loss(self, batch: ImageBatch) -> Tensor:
        logits = self.classifier(self.backbone(batch.x_ICHW))
        return cross_entropy(logits, batch.y_I, label_smoothing=self.config.label_smoothing)
