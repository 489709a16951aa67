"""A small data set of easy images, made in memory."""

from dataclasses import replace

import numpy as np

from fewshot.episodes.sampling import Split
from fewshot.episodes.source import EpisodeSource

IMAGE_SIZE = 16


def make_source(
    split: Split = "test",
    n_classes: int = 8,
    per_class: int = 30,
    noise: float = 40,
    seed: int = 0,
) -> EpisodeSource:
    """Classes that differ in their mean image, in noise; each split has other means."""
    rng = np.random.default_rng([seed, len(split)])
    shape = (IMAGE_SIZE, IMAGE_SIZE, 3)
    means = rng.uniform(60, 190, (n_classes, 1, *shape))
    pixels = means + noise * rng.standard_normal((n_classes, per_class, *shape))
    images_IHWC = np.clip(pixels, 0, 255).astype(np.uint8).reshape(-1, *shape)
    return EpisodeSource(
        dataset="made",
        split=split,
        images_IHWC=images_IHWC,
        class_names=tuple(f"class-{c}" for c in range(n_classes)),
        class_starts=np.arange(n_classes) * per_class,
        class_sizes=np.full(n_classes, per_class),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        fingerprint="made",
    )


def some_classes(whole: EpisodeSource, classes: list[int]) -> tuple[EpisodeSource, np.ndarray]:
    """A source of these classes alone, and the images with noise in place of all other classes."""
    source = replace(
        whole,
        class_names=tuple(whole.class_names[c] for c in classes),
        class_starts=whole.class_starts[classes],
        class_sizes=whole.class_sizes[classes],
    )
    noise = np.random.default_rng(0).integers(0, 256, whole.images_IHWC.shape, dtype=np.uint8)
    noise[source.indices] = whole.images_IHWC[source.indices]
    return source, noise
