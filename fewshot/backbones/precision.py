"""A backbone that computes in bfloat16 and hands out float32."""

import torch
from torch import Tensor

from fewshot.protocols import Backbone


class Bf16(Backbone):
    """Mixed precision inside the backbone alone: weights, features, heads and losses stay float32.

    Around a whole learner, autocast would also round the distances and the solvers of heads.
    """

    def __init__(self, inner: Backbone) -> None:
        super().__init__()
        self.inner = inner
        self.out_dim = inner.out_dim

    def forward(self, x_ICHW: Tensor) -> Tensor:
        with torch.autocast(x_ICHW.device.type, torch.bfloat16):
            return self.inner(x_ICHW).float()
