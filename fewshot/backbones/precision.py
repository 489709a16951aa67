"""The number types of a computation: bfloat16 in a backbone; float32, or TF32 by choice."""

from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def float32_products(tf32: bool) -> Iterator[None]:
    """Let a GPU round the factors of float32 products and convolutions to TF32 meanwhile, or not.

    PyTorch's default lets convolutions do so and products not, whatever a table then calls it.
    """
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions
