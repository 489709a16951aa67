"""R2D2: ridge regression of the labels, with a learned scale of its output."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from fewshot.heads import ridge
from fewshot.heads.support import linear_logits
from fewshot.protocols import Backbone, FeatureLearner


@dataclass(frozen=True)
class R2D2Config:
    """`penalty`: lambda at the start, learned unless `learn_penalty` is off (as in their code).

    scale: of the output at the start; the authors' is 10 on CIFAR-FS and 1e-4 on miniImageNet.
    """

    penalty: float = 50.0
    learn_penalty: bool = True
    scale: float = 10.0


class R2D2(FeatureLearner):
    """Bertinetto et al., "Meta-learning with differentiable closed-form solvers", ICLR 2019.

    Ridge regression of one-hot labels on features with a column of ones, both divided by the root
    of the number of support images; logits are the predictions times a learned scale. Inductive.

    Deviations: the shots of training episodes are the recipe's, not drawn anew for each episode;
    the authors also learn a number to add to all logits, to which softmax is blind.
    """

    Config = R2D2Config
    trains_on = "episodes"

    def __init__(self, backbone: Backbone, config: Any, n_classes: int) -> None:
        super().__init__(backbone, config, n_classes)
        self.scale = nn.Parameter(torch.tensor(float(config.scale)))
        self.log_penalty = nn.Parameter(
            torch.tensor(float(config.penalty)).log(), requires_grad=config.learn_penalty
        )

    def adapt_features(self, support_z_TSD: Tensor, support_y_TS: Tensor, n_way: int) -> Tensor:
        # Features and labels over the root of S are a penalty of S times as much.
        penalty = self.log_penalty.exp() * support_y_TS.shape[1]
        return ridge.fit(_with_ones(support_z_TSD), support_y_TS, n_way, penalty)

    def predict_features(self, state: Tensor, query_z_TQD: Tensor) -> Tensor:
        return self.scale * linear_logits(state, _with_ones(query_z_TQD))


def _with_ones(z_TID: Tensor) -> Tensor:
    return pad(z_TID, (0, 1), value=1.0)
