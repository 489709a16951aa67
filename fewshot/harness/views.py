"""The view that a learner has of a split: its images, or its features embedded once."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fewshot.episodes.source import EpisodeSource
from fewshot.episodes.tensors import Images
from fewshot.harness.recipe import Scoring
from fewshot.protocols import Augment, FeatureLearner, Learner

EMBED_BATCH = 500
Pixels = Callable[[np.ndarray], Tensor]  # image indices to images x_ICHW


@dataclass(frozen=True)
class View:
    """A split as a learner sees it: as images, or as features embedded once.

    `support` and `query` turn indices (T, n) into inputs of `adapt` and `predict`; `support` gives
    each image `copies` times, the labels' order repeated whole.
    """

    class_starts: np.ndarray
    bytes_per_image: int
    copies: int
    support: Callable[[np.ndarray], Tensor]
    query: Callable[[np.ndarray], Tensor]
    adapt: Callable[[Tensor, Tensor, int], Any]
    predict: Callable[[Any, Tensor], Tensor]


def view_of(
    learner: Learner, source: EpisodeSource, images: Images, scoring: Scoring, augment: Augment
) -> View:
    """Return the view that a learner needs: of features if its backbone is frozen at test."""
    generator = torch.Generator(images.device).manual_seed(scoring.episode_seed)

    def clean(indices_I: np.ndarray) -> Tensor:
        return images.normalized(images.pixels(indices_I))

    def augmented(indices_I: np.ndarray) -> Tensor:
        return images.augmented(indices_I, augment, generator)

    copies: Sequence[Pixels] = [augmented] * scoring.support_copies or [clean]
    if isinstance(learner, FeatureLearner):
        return _feature_view(learner, source, clean, copies)
    return _image_view(learner, source, clean, copies)


def _feature_view(
    learner: FeatureLearner, source: EpisodeSource, clean: Pixels, copies: Sequence[Pixels]
) -> View:
    """Return the view of an embedded split: once, and once more for each augmented copy."""
    indices_I = source.indices

    def embed(pixels: Pixels) -> Tensor:
        batches = np.array_split(indices_I, math.ceil(len(indices_I) / EMBED_BATCH))
        return torch.cat([learner.embed(pixels(batch_I)).float() for batch_I in batches])

    clean_ID = embed(clean)
    copies_VID = [clean_ID if pixels is clean else embed(pixels) for pixels in copies]
    return View(
        class_starts=np.cumsum(source.class_sizes) - source.class_sizes,
        bytes_per_image=4 * clean_ID.shape[1],
        copies=len(copies),
        support=lambda i_TS: torch.cat([table_ID[i_TS] for table_ID in copies_VID], dim=1),
        query=lambda i_TQ: clean_ID[i_TQ],
        adapt=learner.adapt_features,
        predict=learner.predict_features,
    )


def _image_view(
    learner: Learner, source: EpisodeSource, clean: Pixels, copies: Sequence[Pixels]
) -> View:
    def of_episodes(pixels: Pixels, i_TM: np.ndarray) -> Tensor:
        return pixels(i_TM.ravel()).unflatten(0, i_TM.shape)

    return View(
        class_starts=source.class_starts,
        # An image of an inner loop costs its activations, some hundred times its pixels.
        bytes_per_image=1200 * source.image_size**2,
        copies=len(copies),
        support=lambda i_TS: of_episodes(copies[0], np.tile(i_TS, len(copies))),
        query=lambda i_TQ: of_episodes(clean, i_TQ),
        adapt=learner.adapt,
        predict=learner.predict,
    )
