"""The suite's own batch norm: differentiable twice, batched by `vmap`, its statistics a value."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot.protocols import Learner

IMAGES_AND_PIXELS = (-4, -2, -1)


class BatchNorm(nn.BatchNorm2d):
    """Batch norm of images for inner loops; parameters and buffers are those of nn.BatchNorm2d.

    Training: normalises by the mean and the (biased) variance of the batch, and *assigns* them to
    the buffers. Evaluation: normalises by what the buffers hold.

    Why another `forward`: under `torch.func` transforms PyTorch's second-order gradients are wrong
    (pytorch/functorch#534), and it changes its buffers in place. Called through
    `functional_call`, this one gives its statistics back as values, with their gradients: that
    is how those of a support set reach the query images. Averaging them over time is up to the
    caller; `num_batches_tracked` is there for checkpoints alone.
    """

    running_mean: Tensor
    running_var: Tensor

    def forward(self, x_ICHW: Tensor) -> Tensor:
        if not self.training:
            scale, shift = self._scale_and_shift()
            return torch.addcmul(shift, x_ICHW, scale)
        y_ICHW, self.running_mean, self.running_var = Normalised.apply(
            x_ICHW, self.weight, self.bias, self.eps
        )
        return y_ICHW

    def max_pooled(self, x_ICHW: Tensor) -> Tensor:
        """Return `F.max_pool2d(self(x_ICHW), 2)`, for about half the work.

        Scaling by a positive number and pooling commute, so only a quarter of the numbers are
        scaled; a channel with a negative weight is pooled with its sign turned.
        """
        if self.training:
            self.running_mean, self.running_var = Moments.apply(x_ICHW)
        scale, shift = self._scale_and_shift()
        sign = _per_channel(torch.where(self.weight < 0, -1.0, 1.0).to(x_ICHW.dtype))
        return torch.addcmul(shift, F.max_pool2d(x_ICHW * sign, 2), scale * sign)

    def _scale_and_shift(self) -> tuple[Tensor, Tensor]:
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return _per_channel(scale), _per_channel(self.bias - self.running_mean * scale)


def norm_for(learner: type[Learner]) -> Callable[[int], nn.Module]:
    """Return the maker of the normalisation layers that a learner's backbone needs."""
    return BatchNorm if learner.differentiable_norm else nn.BatchNorm2d


class Moments(torch.autograd.Function):
    """Mean and biased variance of each channel: `moments(x_ICHW) -> mean_C, var_C`.

    As an autograd function its gradient is one fused pass over the images instead of four. Of
    episodes side by side, x_TICHW, the moments are those of each, mean_TC and var_TC.
    """

    @staticmethod
    def forward(x_ICHW: Tensor) -> tuple[Tensor, Tensor]:
        return _moments(x_ICHW)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(inputs[0], output[0])

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int], x: Tensor) -> tuple[tuple[Tensor, Tensor], Any]:
        return Moments.apply(x.movedim(in_dims[0], 0)), (0, 0)

    @staticmethod
    def backward(ctx: Any, grad_mean_C: Tensor, grad_var_C: Tensor) -> Tensor:
        """Return the gradient with respect to the images; it can be differentiated again."""
        x_ICHW, mean_C = ctx.saved_tensors
        return _gradient_of_moments(x_ICHW, mean_C, grad_mean_C, grad_var_C)


class Normalised(torch.autograd.Function):
    """Images normalised by their own moments: `(x_ICHW, weight_C, bias_C, eps) -> y, mean, var`.

    Where nobody differentiates the gradient, it is PyTorch's own, in half the passes.
    """

    @staticmethod
    def forward(
        x_ICHW: Tensor, weight_C: Tensor, bias_C: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean_C, var_C = _moments(x_ICHW)
        scale_C = weight_C * torch.rsqrt(var_C + eps)
        shift_C = bias_C - mean_C * scale_C
        y_ICHW = torch.addcmul(_per_channel(shift_C), x_ICHW, _per_channel(scale_C))
        return y_ICHW, mean_C, var_C

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x_ICHW, weight_C, _, ctx.eps = inputs
        ctx.save_for_backward(x_ICHW, weight_C, *output[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, Any]:
        batched = [
            x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
            for x, dim in zip(inputs[:3], in_dims[:3], strict=True)
        ]
        return Normalised.apply(*batched, inputs[3]), (0, 0, 0)

    @staticmethod
    def backward(
        ctx: Any, grad_y: Tensor | None, grad_mean_C: Tensor | None, grad_var_C: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, None]:
        """Return the gradients of images, weight and bias, differentiable again if asked for."""
        x_ICHW, weight_C, mean_C, var_C = ctx.saved_tensors
        of_moments = grad_mean_C is not None or grad_var_C is not None
        grad_y, grad_mean_C, grad_var_C = (
            torch.zeros_like(like) if grad is None else grad
            for grad, like in ((grad_y, x_ICHW), (grad_mean_C, mean_C), (grad_var_C, var_C))
        )
        rstd_C = torch.rsqrt(var_C + ctx.eps)
        if _is_plain(x_ICHW) and not torch.is_grad_enabled():
            grad_x, grad_weight_C, grad_bias_C = torch.ops.aten.native_batch_norm_backward(
                grad_y, x_ICHW, weight_C, None, None, mean_C, rstd_C, True, ctx.eps, 3 * [True]
            )
            if of_moments:
                grad_x += _gradient_of_moments(x_ICHW, mean_C, grad_mean_C, grad_var_C)
            return grad_x, grad_weight_C, grad_bias_C, None
        scale_C = weight_C * rstd_C
        grad_bias_C = grad_y.sum(IMAGES_AND_PIXELS, dtype=mean_C.dtype)
        inner_C = (grad_y * x_ICHW).sum(IMAGES_AND_PIXELS, dtype=mean_C.dtype)
        grad_weight_C = (inner_C - mean_C * grad_bias_C) * rstd_C
        to_mean_C = grad_mean_C - scale_C * grad_bias_C
        to_var_C = grad_var_C - grad_weight_C * scale_C * rstd_C / 2
        through_moments = _gradient_of_moments(x_ICHW, mean_C, to_mean_C, to_var_C)
        grad_x = torch.addcmul(through_moments, grad_y, _per_channel(scale_C))
        return grad_x, grad_weight_C, grad_bias_C, None


def _moments(x_ICHW: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the biased variance of each channel."""
    if _is_plain(x_ICHW):
        # The first half of PyTorch's own batch norm: a tenth of the time of `torch.var_mean`.
        return torch.batch_norm_update_stats(x_ICHW, None, None, 0.0)
    # In mixed precision the images come as bfloat16, too coarse for sums of them.
    dtype = torch.promote_types(x_ICHW.dtype, torch.float32)
    mean_C = x_ICHW.mean(IMAGES_AND_PIXELS, dtype=dtype)
    centred = x_ICHW - _per_channel(mean_C)
    return mean_C, (centred * centred).mean(IMAGES_AND_PIXELS)


def _is_plain(x_ICHW: Tensor) -> bool:
    """Say whether PyTorch's fused kernels take these images and are faster: on a CPU, no vmap."""
    return x_ICHW.device.type == "cpu" and x_ICHW.ndim == 4 and x_ICHW.dtype != torch.bfloat16


def _gradient_of_moments(
    x_ICHW: Tensor, mean_C: Tensor, grad_mean_C: Tensor, grad_var_C: Tensor
) -> Tensor:
    """Return dL/dx = dL/dmean / n + dL/dvar * 2 (x - mean) / n."""
    n = x_ICHW.numel() // mean_C.numel()
    slope_C = grad_var_C * (2 / n)
    return torch.addcmul(
        _per_channel(grad_mean_C / n - slope_C * mean_C), x_ICHW, _per_channel(slope_C)
    )


def _per_channel(values_C: Tensor) -> Tensor:
    return values_C[..., None, :, None, None]
