"""MetaOptNet: a convex classifier of the support set as a layer of the network."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fewshot.heads import ridge, svm
from fewshot.heads.support import linear_logits
from fewshot.protocols import Backbone, FeatureLearner


@dataclass(frozen=True)
class MetaOptNetSVMConfig:
    """`c` and `ridge` of the dual: the paper's. `label_smoothing`: its 0.1 was for miniImageNet.

    scale: of the logits at the start, the paper's; it is learned, but slowly in a short training.
    steps: interior point steps in training and at test; None solves exactly.
    """

    c: float = 0.1
    ridge: float = 1.0
    scale: float = 1.0
    label_smoothing: float = 0.0
    steps: int | None = None


@dataclass(frozen=True)
class MetaOptNetRidgeConfig:
    """`penalty`: the paper's lambda. The others: see `MetaOptNetSVMConfig`."""

    penalty: float = 50.0
    scale: float = 1.0
    label_smoothing: float = 0.0


class MetaOptNet(FeatureLearner):
    """Lee et al., "Meta-Learning with Differentiable Convex Optimization", CVPR 2019.

    The head, weights_TDN, is fitted to the support features without an intercept, its logits are
    scaled by a learned number, and the query loss is differentiated through the fit. Inductive.
    Training shots are the recipe's, and may differ from those at test.
    """

    trains_on = "episodes"

    def __init__(self, backbone: Backbone, config: Any, n_classes: int) -> None:
        super().__init__(backbone, config, n_classes)
        self.scale = nn.Parameter(torch.tensor(float(config.scale)))

    def query_loss(self, logits_TQN: Tensor, query_y_TQ: Tensor) -> Tensor:
        # The paper's smoothing leaves 1 - e to the label; PyTorch's leaves it e / N more.
        n_way = logits_TQN.shape[-1]
        smoothing = self.config.label_smoothing * n_way / (n_way - 1)
        logits = logits_TQN.flatten(0, 1)
        return cross_entropy(logits, query_y_TQ.flatten(), label_smoothing=smoothing)

    def predict_features(self, state: Tensor, query_z_TQD: Tensor) -> Tensor:
        return self.scale * linear_logits(state, query_z_TQD)


class MetaOptNetSVM(MetaOptNet):
    """MetaOptNet with the multi-class support vector machine of Crammer and Singer."""

    Config = MetaOptNetSVMConfig

    def adapt_features(self, support_z_TSD: Tensor, support_y_TS: Tensor, n_way: int) -> Tensor:
        c = self.config
        dual = svm.fit(support_z_TSD, support_y_TS, n_way, c.c, c.ridge, fixed_steps=c.steps)
        return svm.weights(support_z_TSD, dual.alpha_TSN)


class MetaOptNetRidge(MetaOptNet):
    """MetaOptNet with ridge regression of the labels, in closed form.

    The authors' code minimises half the squares and so has twice these logits: `scale = 2` starts
    as it does.
    """

    Config = MetaOptNetRidgeConfig

    def adapt_features(self, support_z_TSD: Tensor, support_y_TS: Tensor, n_way: int) -> Tensor:
        return ridge.fit(support_z_TSD, support_y_TS, n_way, self.config.penalty)
