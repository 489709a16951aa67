"""What every fitted head asks of its support features and labels."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot


def check_finite(z_TSD: Tensor) -> None:
    """Raises ValueError that names the first episode with a nan or an infinity in its features."""
    finite_T = z_TSD.isfinite().flatten(1).all(1)
    if not finite_T.all():
        raise ValueError(f"features of episode {first(~finite_T)} have a nan or an infinity")


def check_labels(y_TS: Tensor, n_way: int) -> None:
    """Raises ValueError for labels outside 0 .. n_way-1 and for a class with no support."""
    if ((y_TS < 0) | (y_TS >= n_way)).any():
        raise ValueError(f"support labels must be 0 .. {n_way - 1}")
    absent_TN = one_hot(y_TS.long(), n_way).sum(1) == 0
    if absent_TN.any():
        episode = first(absent_TN.any(1))
        raise ValueError(f"episode {episode} has no support of class {first(absent_TN[episode])}")


def first(flags: Tensor) -> int:
    """The position of the first True."""
    return int(flags.nonzero()[0])


def at_least_float32(z: Tensor) -> Tensor:
    """Half-precision features as float32, others as they are."""
    return z.to(torch.promote_types(z.dtype, torch.float32))
