"""The parts that fitted heads share: checks of the support set, chunks of episodes, linear logits.

Axes: T episodes, N way, S support images, Q query images, D features.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import one_hot

CHUNK_BYTES = {"cpu": 1 << 22, "cuda": 1 << 28}
"""Memory of the matrices of episodes solved together: enough to drown the cost of a call; near to
fit a CPU's cache."""


def chunks(n_episodes: int, bytes_each: int, device: torch.device) -> Iterator[slice]:
    """Yield slices of the episodes, each of as many as `CHUNK_BYTES` hold, at least one."""
    size = max(1, CHUNK_BYTES.get(device.type, CHUNK_BYTES["cpu"]) // max(1, bytes_each))
    return (slice(start, start + size) for start in range(0, n_episodes, size))


def check_finite(z_TSD: Tensor) -> None:
    """Raise ValueError that names the first episode with a nan or an infinity in its features."""
    finite_T = z_TSD.isfinite().flatten(1).all(1)
    if not finite_T.all():
        raise ValueError(f"features of episode {first(~finite_T)} have a nan or an infinity")


def check_labels(y_TS: Tensor, n_way: int) -> None:
    """Raise ValueError for labels outside 0 .. n_way-1 and for a class with no support."""
    if ((y_TS < 0) | (y_TS >= n_way)).any():
        raise ValueError(f"support labels must be 0 .. {n_way - 1}")
    absent_TN = one_hot(y_TS.long(), n_way).sum(1) == 0
    if absent_TN.any():
        episode = first(absent_TN.any(1))
        raise ValueError(f"episode {episode} has no support of class {first(absent_TN[episode])}")


def first(flags: Tensor) -> int:
    """Return the position of the first True."""
    return int(flags.nonzero()[0])


def linear_logits(weights_TDN: Tensor, query_z_TQD: Tensor) -> Tensor:
    """Return logits_TQN = z W of query features, at least float32."""
    with torch.autocast(query_z_TQD.device.type, enabled=False):
        return at_least_float32(query_z_TQD) @ weights_TDN


def at_least_float32(z: Tensor) -> Tensor:
    """Return half-precision features as float32, others as they are."""
    return z.to(torch.promote_types(z.dtype, torch.float32))
