"""First-order multi-task learning with a head fine-tuned at test time."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from fewshot.learners.logistic_head import LogisticHeadLearner
from fewshot.options import option
from fewshot.protocols import Backbone, EpisodeBatch


@dataclass(frozen=True)
class MTLConfig:
    """`c` (the paper's 3), `mirror`: see `LogisticHeadLearner`.

    `normalize_features`: unit-norm features in training too (the paper: all data sets but FC100).
    `scale` multiplies the training logits; the paper's code has none, that is 1.
    """

    c: float = option(3.0, test_only=True)
    normalize_features: bool = True
    scale: float = 1.0
    mirror: bool = option(False, test_only=True, added_later=True)


class MTL(LogisticHeadLearner):
    """Wang, Zhao and Li, "Bridging Multi-Task Learning and Meta-Learning", ICML 2021.

    MTL is multi-task learning here, not meta-transfer learning. Training: each training class has
    its weights, without a bias; an episode is a softmax over the weights of its own classes, on
    all its images, with no support/query split and no inner loop. At test the backbone is frozen
    and a logistic head fitted on unit-norm features. Inductive.

    Deviations from the authors' code: labels within an episode come from the sampler, so the
    relabelling fault there (3 % of labels wrong with 64 classes) is not copied; the optimiser
    and its schedule are the benchmark's.
    """

    Config = MTLConfig
    trains_on = "episodes"

    def __init__(self, backbone: Backbone, config: Any, n_classes: int) -> None:
        super().__init__(backbone, config, n_classes)
        self.rows_CD = nn.Parameter(torch.empty(n_classes, backbone.out_dim))
        nn.init.kaiming_uniform_(self.rows_CD, a=5**0.5)
        with torch.no_grad():  # the authors' scale: as if each 5-way head had been drawn alone
            self.rows_CD.mul_((n_classes / 5) ** 0.5)

    def loss(self, batch: EpisodeBatch) -> Tensor:
        z_TMD = self.backbone(batch.x_TMCHW.flatten(0, 1)).unflatten(0, batch.y_TM.shape)
        if self.config.normalize_features:
            z_TMD = normalize(z_TMD, dim=-1)
        heads_TND = self.rows_CD[batch.class_ids_TN]
        logits_TMN = self.config.scale * z_TMD @ heads_TND.mT
        return cross_entropy(logits_TMN.flatten(0, 1), batch.y_TM.flatten())
