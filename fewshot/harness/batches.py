"""The batches of a training: pure functions of (seed, step)."""

from collections.abc import Callable

import numpy as np
import torch

from fewshot.episodes.sampling import draw_batch, draw_episode
from fewshot.episodes.source import EpisodeSource
from fewshot.episodes.tensors import Images, episode_batch, episode_indices, sent
from fewshot.harness.recipe import Recipe
from fewshot.protocols import Augment, Batch, ImageBatch, Learner


def batches(
    learner: Learner,
    source: EpisodeSource,
    augment: Augment,
    recipe: Recipe,
    seed: int,
    generator: torch.Generator,
    memory_gb: float | None = None,
) -> Callable[[int, int], Batch]:
    """Return the function from a step's number and the edge of its images in pixels to its batch.

    The batch is of the kind that the learner trains on. The augmentation draws from `generator`.
    memory_gb: as in `Images`.
    """
    device = generator.device
    images = Images(source, device, memory_gb)
    indices_I = source.indices
    labels_I = np.repeat(np.arange(len(source.class_sizes)), source.class_sizes)

    def image_batch(step: int, edge: int) -> ImageBatch:
        chosen = draw_batch(seed, step, len(indices_I), recipe.batch_size)
        x_ICHW = images.augmented(indices_I[chosen], augment, generator, edge)
        return ImageBatch(x_ICHW, sent(torch.from_numpy(labels_I[chosen]), device))

    def episodes(step: int, edge: int) -> Batch:
        first = step * recipe.episodes_per_step
        drawn = [
            draw_episode(seed, source.split, index, source.class_sizes, recipe.train_shape)
            for index in range(first, first + recipe.episodes_per_step)
        ]
        labelled = episode_indices(drawn, source.class_starts)
        return episode_batch(labelled, images, augment, generator, edge)

    return image_batch if learner.trains_on == "images" else episodes
