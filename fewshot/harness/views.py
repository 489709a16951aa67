"""The view that a learner has of a split: its images, or its features embedded once."""

import math
from collections.abc import Callable
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
    if isinstance(learner, FeatureLearner):
        return _feature_view(learner, source, images, scoring, augment)
    return _image_view(learner, source, images, scoring, augment)


def _feature_view(
    learner: FeatureLearner,
    source: EpisodeSource,
    images: Images,
    scoring: Scoring,
    augment: Augment,
) -> View:
    """Return the view of an embedded split: once, and once more for each augmented copy."""
    indices_I = source.indices

    def embed(pixels: Callable[[np.ndarray], Tensor]) -> Tensor:
        batches = np.array_split(indices_I, math.ceil(len(indices_I) / EMBED_BATCH))
        return torch.cat([learner.embed(pixels(batch_I)).float() for batch_I in batches])

    generator = torch.Generator(images.device).manual_seed(scoring.episode_seed)
    clean_ID = embed(lambda batch_I: images.normalized(images.pixels(batch_I)))
    copies_VID = [
        embed(lambda batch_I: images.augmented(batch_I, augment, generator))
        for _ in range(scoring.support_copies)
    ] or [clean_ID]
    return View(
        class_starts=np.cumsum(source.class_sizes) - source.class_sizes,
        bytes_per_image=4 * clean_ID.shape[1],
        copies=len(copies_VID),
        support=lambda i_TS: torch.cat([table_ID[i_TS] for table_ID in copies_VID], dim=1),
        query=lambda i_TQ: clean_ID[i_TQ],
        adapt=learner.adapt_features,
        predict=learner.predict_features,
    )


def _image_view(
    learner: Learner, source: EpisodeSource, images: Images, scoring: Scoring, augment: Augment
) -> View:
    generator = torch.Generator(images.device).manual_seed(scoring.episode_seed)

    def clean(i_TM: np.ndarray) -> Tensor:
        return images.normalized(images.pixels(i_TM.ravel())).unflatten(0, i_TM.shape)

    def augmented(i_TS: np.ndarray) -> Tensor:
        repeated = np.tile(i_TS, scoring.support_copies)
        x_ICHW = images.augmented(repeated.ravel(), augment, generator)
        return x_ICHW.unflatten(0, repeated.shape)

    return View(
        class_starts=source.class_starts,
        # An image of an inner loop costs its activations, some hundred times its pixels.
        bytes_per_image=1200 * source.image_size**2,
        copies=max(1, scoring.support_copies),
        support=augmented if scoring.support_copies else clean,
        query=clean,
        adapt=learner.adapt,
        predict=learner.predict,
    )
