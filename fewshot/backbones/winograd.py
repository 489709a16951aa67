"""Convolutions in fewer multiplications: 3x3 kernels by Winograd's minimal filtering, on a CPU.

"Fast Algorithms for Convolutional Neural Networks" (Lavin and Gray, 2016): an output tile of m x m
pixels takes (m + 2)^2 multiplications for each pair of channels, where the sum over the kernel
takes 9 m^2: a quarter for m = 4. The rest is additions, and products of matrices instead of
convolutions. In float32 the results differ from those of the sum by some 1e-5 of the largest.

Letters: m edge of an output tile, n = m + 2 edge of an input tile, P = n^2 points at which both
polynomials are multiplied, R tiles of all images. Images lie channels last, as IHWC. A grid
(a, b, images, rows, columns, C) is a view of what a matrix is applied to, over its first two axes.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewshot.errors import UserError

KERNEL = 3
TILES = (4, 3, 2)
POINTS = (0, 1, -1, 2, -2)
"""The points of interpolation, beside infinity: small integers, for small errors."""


class WinogradConv2d(nn.Module):
    """A 3x3 convolution of stride 1 and padding 1, of images on a CPU.

    Its parameters and its results are those of nn.Conv2d; its gradients cannot be differentiated.
    """

    bias: Tensor | None

    def __init__(self, like: nn.Conv2d) -> None:
        super().__init__()
        self.weight = like.weight
        self.bias = like.bias

    def forward(self, x_ICHW: Tensor) -> Tensor:
        y_ICHW: Tensor = Winograd.apply(x_ICHW, self.weight)
        return y_ICHW if self.bias is None else y_ICHW + self.bias[:, None, None]


def use_winograd(module: nn.Module) -> None:
    """Put a `WinogradConv2d` with its parameters in the place of each convolution that suits.

    Raises UserError where numba is missing: it compiles the transforms.
    """
    _kernel()
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Conv2d) and _suits(child):
                setattr(parent, name, WinogradConv2d(child))


def _suits(convolution: nn.Conv2d) -> bool:
    """Say whether it is 3x3, of stride and padding 1, with channels that pay for the transforms."""
    c = convolution
    plain = c.dilation == (1, 1) and c.groups == 1 and c.padding_mode == "zeros"
    geometry = (c.kernel_size, c.stride, c.padding) == ((KERNEL, KERNEL), (1, 1), (1, 1))
    return plain and geometry and min(c.in_channels, c.out_channels) >= 32


class Winograd(torch.autograd.Function):
    """`(x_ICHW, weight_OCKK) -> y_IOHW`, the convolution with padding 1."""

    @staticmethod
    def forward(ctx: Any, x_ICHW: Tensor, weight_OCKK: Tensor) -> Tensor:
        # Images and kernels go to the points, are multiplied there, and the products come back.
        x = x_ICHW.permute(0, 2, 3, 1)
        images, height, width, _ = x.shape
        m = tile_edge(height, width)
        n = m + KERNEL - 1
        rows, columns = -(-height // m), -(-width // m)
        padded = F.pad(x, (0, 0, 1, 1 + columns * m - width, 1, 1 + rows * m - height))
        back, kernel, there = matrices(m)
        x_PRC = _points(there, _tiles(padded, n, m, rows, columns))
        weight_POC = _points(kernel, _by_element(weight_OCKK.permute(2, 3, 0, 1)))
        y_PRO = torch.bmm(x_PRC, weight_POC.mT)
        y = x.new_empty(images, rows * m, columns * m, y_PRO.shape[-1])
        _sandwich(back, _grid(y_PRO, images, rows, columns), _tiles(y, m, m, rows, columns))
        ctx.save_for_backward(x_PRC, weight_POC)
        ctx.geometry = m, images, height, width, rows, columns
        return y[:, :height, :width].permute(0, 3, 1, 2)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_y: Tensor) -> tuple[Tensor, Tensor]:
        """Take the steps of `forward` backwards, each matrix transposed."""
        x_PRC, weight_POC = ctx.saved_tensors
        m, images, height, width, rows, columns = ctx.geometry
        n = m + KERNEL - 1
        back, kernel, there = matrices(m)
        # Tiles that reach over the edge: what they wrote there was cut off.
        right, below = columns * m - width, rows * m - height
        grad_y = grad_y.permute(0, 2, 3, 1)
        if right or below:
            grad_y = F.pad(grad_y, (0, 0, 0, right, 0, below))
        grad_PRO = _points(back.T, _tiles(grad_y, m, m, rows, columns))
        grad_weight_POC = torch.bmm(grad_PRO.mT, x_PRC)
        grad_weight = x_PRC.new_empty(KERNEL, KERNEL, *grad_weight_POC.shape[1:])
        grid = _by_element(grad_weight_POC.unflatten(0, (n, n)))
        _sandwich(kernel.T, grid, _by_element(grad_weight))
        grad_PRC = torch.bmm(grad_PRO, weight_POC)
        # Tiles of the input overlap, so their gradients add up.
        grad_x = x_PRC.new_zeros(images, rows * m + 2, columns * m + 2, x_PRC.shape[-1])
        grid = _grid(grad_PRC, images, rows, columns)
        _sandwich(there.T, grid, _tiles(grad_x, n, m, rows, columns), add=True)
        inside = grad_x[:, 1 : height + 1, 1 : width + 1]
        return inside.permute(0, 3, 1, 2), grad_weight.permute(2, 3, 0, 1)


def tile_edge(height: int, width: int) -> int:
    """Return the edge m of the tiles that cover such an image with the fewest multiplications."""
    return min(TILES, key=lambda m: (-(-height // m)) * (-(-width // m)) * (m + 2) ** 2)


@functools.cache
def matrices(m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A^T (m, n), G (n, 3) and B^T (n, n) of F(m, 3), by Toom and Cook's interpolation.

    A filter g of 3 numbers over n numbers d gives m: `A^T ((G g) * (B^T d))`. Of images, each
    matrix is applied to rows and columns.
    """
    n = m + KERNEL - 1
    points = np.array(POINTS[: n - 1], dtype=float)
    others = [np.delete(points, i) for i in range(n - 1)]
    # The rows of B^T are the polynomials that are 0 at all points but one, and at all points.
    there = np.zeros((n, n))
    for i, roots in enumerate(others):
        there[i, :-1] = np.poly(roots)[::-1]
    there[-1] = np.poly(points)[::-1]
    norms = [np.prod(point - roots) for point, roots in zip(points, others, strict=True)]
    kernel = _powers(points, KERNEL) / np.array([*norms, 1.0])[:, None]
    return _powers(points, m).T, kernel, there


def _powers(points: np.ndarray, degree: int) -> np.ndarray:
    """Return the values of 1, x, x^2 ... at the points; at infinity only the last counts."""
    return np.vstack([np.vander(points, degree, increasing=True), np.eye(degree)[-1]])


def _tiles(x_IHWC: Tensor, edge: int, step: int, rows: int, columns: int) -> Tensor:
    """Return pixel (a, b) of every tile: tiles of `edge` pixels, `step` pixels apart."""
    i, h, w, c = x_IHWC.stride()
    shape = (edge, edge, len(x_IHWC), rows, columns, x_IHWC.shape[-1])
    return x_IHWC.as_strided(shape, (h, w, i, step * h, step * w, c))


def _grid(x_PRC: Tensor, images: int, rows: int, columns: int) -> Tensor:
    """Return point (a, b) of every tile."""
    n = round(len(x_PRC) ** 0.5)
    return x_PRC.view(n, n, images, rows, columns, -1)


def _by_element(weight_KKOC: Tensor) -> Tensor:
    """Return element (a, b) of every kernel; output channels stand where images do elsewhere."""
    return weight_KKOC[:, :, :, None, None]


def _points(matrix: np.ndarray, grid: Tensor) -> Tensor:
    """Return the grid at the points: (P, R, C)."""
    n = len(matrix)
    x = grid.new_empty(n, n, *grid.shape[2:])
    _sandwich(matrix, grid, x)
    return x.view(n * n, -1, grid.shape[-1])


def _sandwich(matrix: np.ndarray, source: Tensor, target: Tensor, add: bool = False) -> None:
    """Let `target = matrix @ source @ matrix.T` over the first two axes of both grids.

    With `add` it is added to what the target holds.
    """
    if source.stride(-1) != 1:  # images that came with their channels first
        source = source.contiguous()
    edge = matrix.shape[1]
    padded = np.zeros((len(matrix), MOST))
    padded[:, :edge] = matrix
    from_, from_strides = _flat(source)
    to, to_strides = _flat(target)
    sizes = tuple(source.shape[2:])
    _kernel()(padded.astype(from_.dtype), edge, from_, from_strides, to, to_strides, sizes, add)


MOST = max(TILES) + KERNEL - 1
"""Numbers that a row of a matrix has at most."""


def _flat(grid: Tensor) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return the memory from a grid's first element to its last, and the strides in it."""
    size = 1 + sum((n - 1) * step for n, step in zip(grid.shape, grid.stride(), strict=True))
    return grid.detach().as_strided((size,), (1,)).numpy(), grid.stride()


@functools.cache
def _kernel() -> Callable[..., None]:
    """Return `_sandwich` on flat memory, compiled: PyTorch's own takes three times as long."""
    try:
        import numba
    except ImportError as error:
        raise UserError(
            "convolutions = 'winograd' needs numba: pip install 'fewshot[winograd]'"
        ) from error
    combine = numba.njit(fastmath=True, inline="always")(_combine)
    prange = numba.prange

    def sandwich(matrix, edge, source, from_, target, to, shape, add):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        images, rows, columns, channels = shape
        for image in prange(images):
            half = np.empty(len(matrix) * edge * channels, source.dtype)
            for row in range(rows):
                for column in range(columns):
                    start = image * from_[2] + row * from_[3] + column * from_[4]
                    for b in range(edge):
                        for p in range(len(matrix)):
                            at = (p * edge + b) * channels
                            begin = start + b * from_[1]
                            combine(
                                matrix[p], edge, source, begin, from_[0], half, at, channels, False
                            )
                    start = image * to[2] + row * to[3] + column * to[4]
                    for p in range(len(matrix)):
                        for q in range(len(matrix)):
                            at = start + p * to[0] + q * to[1]
                            begin = p * edge * channels
                            combine(
                                matrix[q], edge, half, begin, channels, target, at, channels, add
                            )

    compiled = numba.njit(parallel=True, fastmath=True)(sandwich)

    # As numba starts its threads it may set the number of OpenMP's, which are PyTorch's too.
    threads = torch.get_num_threads()
    most = numba.get_num_threads()
    torch.set_num_threads(threads)

    def with_as_many_threads(*arguments: Any) -> None:
        numba.set_num_threads(min(torch.get_num_threads(), most))
        compiled(*arguments)

    return with_as_many_threads


def _combine(weights, edge, source, start, step, target, at, size, add):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Let `target[at:]` be the weighted sum of `edge` stretches of `source`; `size` numbers each.

    One loop over all of them, unused ones with weight 0, so that the compiler makes vectors of it.
    """
    out = target[at : at + size]
    w0, from0 = weights[0], start
    w1, from1 = weights[1], start + min(1, edge - 1) * step
    w2, from2 = weights[2], start + min(2, edge - 1) * step
    w3, from3 = weights[3], start + min(3, edge - 1) * step
    w4, from4 = weights[4], start + min(4, edge - 1) * step
    w5, from5 = weights[5], start + min(5, edge - 1) * step
    x0 = source[from0 : from0 + size]
    x1 = source[from1 : from1 + size]
    x2 = source[from2 : from2 + size]
    x3 = source[from3 : from3 + size]
    x4 = source[from4 : from4 + size]
    x5 = source[from5 : from5 + size]
    if add:
        for c in range(size):
            out[c] += w0 * x0[c] + w1 * x1[c] + w2 * x2[c] + w3 * x3[c] + w4 * x4[c] + w5 * x5[c]
    else:
        for c in range(size):
            out[c] = w0 * x0[c] + w1 * x1[c] + w2 * x2[c] + w3 * x3[c] + w4 * x4[c] + w5 * x5[c]
