"""Episodes from image indices to tensors on a device."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fewshot import machine
from fewshot.episodes import sampling
from fewshot.episodes.augment import none
from fewshot.episodes.sampling import Episode, EpisodeShape
from fewshot.episodes.source import EpisodeSource
from fewshot.protocols import Augment, EpisodeBatch

MAPPED_BYTES = 1 << 16
"""Bytes that Linux maps around each page that is read from its cache: fault-around."""


class EpisodeIndices(NamedTuple):
    """The images of T episodes, as indices into a data set's array, without query labels.

    Support images stand class by class, with labels 0..N-1; query images in their drawn order.
    """

    support_TS: np.ndarray
    support_y_TS: np.ndarray
    query_TQ: np.ndarray
    class_ids_TN: np.ndarray


class LabelledEpisodes(NamedTuple):
    """The images of T episodes, and apart from them the labels 0..N-1 of their queries."""

    indices: EpisodeIndices
    query_y_TQ: np.ndarray


def episode_indices(episodes: Sequence[Episode], class_starts: np.ndarray) -> LabelledEpisodes:
    """Return the image indices and the query labels of T episodes of one shape."""
    class_ids_TN = np.stack([e.class_ids_N for e in episodes])
    support_TNK = np.stack([e.support_NK for e in episodes])
    query_y_TQ = np.stack([e.query_y_Q for e in episodes])
    starts_TN = class_starts[class_ids_TN]
    n_episodes, n_way, n_shot = support_TNK.shape
    labels_S = np.repeat(np.arange(n_way), n_shot)
    indices = EpisodeIndices(
        support_TS=(starts_TN[:, :, None] + support_TNK).reshape(n_episodes, -1),
        support_y_TS=np.broadcast_to(labels_S, (n_episodes, len(labels_S))),
        query_TQ=np.take_along_axis(starts_TN, query_y_TQ, axis=1)
        + np.stack([e.query_Q for e in episodes]),
        class_ids_TN=class_ids_TN,
    )
    return LabelledEpisodes(indices, query_y_TQ)


class Images:
    """The images of a data set, uint8, of which any can be had on the device by their indices.

    At most `memory_gb` of them (2^30 bytes; None: half of the device's memory) are held at once. On
    the CPU they are the memory-mapped file itself, of which only what is read comes into memory,
    and goes again when it may be more than that. A GPU has a copy in its memory; where that would
    be too large, what a batch needs is sent each time.
    """

    def __init__(
        self, source: EpisodeSource, device: torch.device, memory_gb: float | None = None
    ) -> None:
        self.device = device
        self._mapped_IHWC = source.images_IHWC
        self._images_IHWC = torch.from_numpy(source.images_IHWC)
        half = machine.memory_bytes(device) / 2
        limit = half if memory_gb is None else memory_gb * 2**30
        fits = self._images_IHWC.nbytes <= limit
        if fits and device.type != "cpu":
            self._images_IHWC = self._images_IHWC.to(device)
        windows = math.ceil(self._images_IHWC[:1].nbytes / MAPPED_BYTES) + 2
        self._most_read = math.inf if fits else limit // (windows * MAPPED_BYTES)
        self._n_read = 0
        self._mean = torch.tensor(source.mean, device=device) * 255
        self._std = torch.tensor(source.std, device=device) * 255

    def pixels(self, indices_I: np.ndarray) -> Tensor:
        """Return the uint8 images x_IHWC at these indices."""
        self._n_read += len(indices_I)
        if self._n_read > self._most_read:
            machine.release_pages(self._mapped_IHWC)
            self._n_read = len(indices_I)
        index = torch.from_numpy(np.ascontiguousarray(indices_I))
        on = self._images_IHWC.device
        index = index if on.type == "cpu" else sent(index, on)
        # On a CPU it copies whole images; indexing with brackets takes them apart.
        return sent(self._images_IHWC.index_select(0, index), self.device)

    def normalized(self, x_IHWC: Tensor) -> Tensor:
        """Return float x_ICHW, channels last in memory, each channel scaled to mean 0, std 1."""
        # By whole lines of pixels: a CPU takes 20 times as long over lines of three numbers.
        width = x_IHWC.shape[2]
        lines = x_IHWC.flatten(2).to(torch.float32, copy=True)
        lines = lines.sub_(self._mean.repeat(width)).div_(self._std.repeat(width))
        return lines.view(x_IHWC.shape).permute(0, 3, 1, 2)

    def augmented(
        self,
        indices_I: np.ndarray,
        augment: Augment,
        generator: torch.Generator,
        edge: int | None = None,
    ) -> Tensor:
        """Return the images at these indices, randomly changed, as float x_ICHW of an edge."""
        x_ICHW = self.normalized(augment(self.pixels(indices_I), generator))
        if edge is None or edge == x_ICHW.shape[-1]:
            return x_ICHW
        resized = F.interpolate(x_ICHW, (edge, edge), mode="bilinear", antialias=True)
        return resized.contiguous(memory_format=torch.channels_last)


def episode_batch(
    episodes: LabelledEpisodes,
    images: Images,
    augment: Augment,
    generator: torch.Generator,
    edge: int | None = None,
) -> EpisodeBatch:
    """Return a training batch of T episodes, augmented, support first; of another edge if asked."""
    indices, query_y_TQ = episodes
    indices_TM = np.concatenate([indices.support_TS, indices.query_TQ], axis=1)
    y_TM = np.concatenate([indices.support_y_TS, query_y_TQ], axis=1)
    x_ICHW = images.augmented(indices_TM.ravel(), augment, generator, edge)
    return EpisodeBatch(
        x_TMCHW=x_ICHW.unflatten(0, indices_TM.shape),
        y_TM=sent(torch.from_numpy(y_TM), images.device),
        class_ids_TN=sent(torch.from_numpy(indices.class_ids_TN), images.device),
        n_support=indices.support_TS.shape[1],
    )


class EpisodeTensors(NamedTuple):
    """One episode: normalised images, and labels 0..N-1; support images stand class by class."""

    support_x_SCHW: Tensor
    support_y_S: Tensor
    query_x_QCHW: Tensor
    query_y_Q: Tensor


def draw_episode(
    source: EpisodeSource, shape: EpisodeShape, index: int = 0, seed: int = 0
) -> EpisodeTensors:
    """Return episode number `index` of a split on the CPU, as every learner meets it.

    Raises UserError when the split has too few classes, or a class too few images.
    """
    images = Images(source, torch.device("cpu"))
    drawn = sampling.draw_episode(seed, source.split, index, source.class_sizes, shape)
    labelled = episode_indices([drawn], source.class_starts)
    batch = episode_batch(labelled, images, none, torch.Generator())
    return EpisodeTensors(*(part_T[0] for part_T in (*batch.support, *batch.query)))


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the CPU on a device; a GPU gets it without anyone waiting for it."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
