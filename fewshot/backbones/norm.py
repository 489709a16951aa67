"""The suite's own batch norm: differentiable twice, batched by `vmap`, its statistics a value."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

IMAGES_AND_PIXELS = (0, 2, 3)


class BatchNorm(nn.Module):
    """Batch norm of images for inner loops; parameters and buffers named as in nn.BatchNorm2d.

    Training: normalises by the mean and the (biased) variance of the batch, and *assigns* them to
    the buffers. Evaluation: normalises by what the buffers hold.

    Why not nn.BatchNorm2d: under `torch.func` transforms its second-order gradients are wrong
    (pytorch/functorch#534), and it changes its buffers in place. Called through
    `functional_call`, this one gives its statistics back as values, with their gradients: that
    is how those of a support set reach the query images. Averaging them over time is up to the
    caller; `num_batches_tracked` is there for checkpoints alone.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.int64))

    def forward(self, x_ICHW: Tensor) -> Tensor:
        """Normalised images."""
        scale, shift = self._scale_and_shift(x_ICHW)
        return torch.addcmul(shift, x_ICHW, scale)

    def max_pooled(self, x_ICHW: Tensor) -> Tensor:
        """`F.max_pool2d(self(x_ICHW), 2)`, for about half the work.

        Scaling by a positive number and pooling commute, so only a quarter of the numbers are
        scaled; a channel with a negative weight is pooled with its sign turned.
        """
        scale, shift = self._scale_and_shift(x_ICHW)
        sign = _per_channel(torch.where(self.weight < 0, -1.0, 1.0).to(x_ICHW.dtype))
        return torch.addcmul(shift, F.max_pool2d(x_ICHW * sign, 2), scale * sign)

    def _scale_and_shift(self, x_ICHW: Tensor) -> tuple[Tensor, Tensor]:
        if self.training:
            self.running_mean, self.running_var = Moments.apply(x_ICHW)
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return _per_channel(scale), _per_channel(self.bias - self.running_mean * scale)


class Moments(torch.autograd.Function):
    """Mean and biased variance of each channel: `moments(x_ICHW) -> mean_C, var_C`.

    As an autograd function its gradient is one fused pass over the images instead of four, and
    the variance from centred sums takes a tenth of the time of `torch.var_mean` on a CPU.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x_ICHW: Tensor) -> tuple[Tensor, Tensor]:
        """Both moments, over images and pixels."""
        # In mixed precision the images come as bfloat16, too coarse for sums of them.
        dtype = torch.promote_types(x_ICHW.dtype, torch.float32)
        mean_C = x_ICHW.mean(IMAGES_AND_PIXELS, dtype=dtype)
        centred = x_ICHW - _per_channel(mean_C)
        return mean_C, (centred * centred).mean(IMAGES_AND_PIXELS)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        """Keep what the gradient needs."""
        ctx.save_for_backward(inputs[0], output[0])

    @staticmethod
    def backward(ctx: Any, grad_mean_C: Tensor, grad_var_C: Tensor) -> Tensor:
        """dL/dx = dL/dmean / n + dL/dvar * 2 (x - mean) / n, differentiable again."""
        x_ICHW, mean_C = ctx.saved_tensors
        n = x_ICHW.numel() // x_ICHW.shape[1]
        slope_C = grad_var_C * (2 / n)
        return torch.addcmul(
            _per_channel(grad_mean_C / n - slope_C * mean_C), x_ICHW, _per_channel(slope_C)
        )


def _per_channel(values_C: Tensor) -> Tensor:
    return values_C[:, None, None]
