"""One split of a data set, as the harness reads it. Needs no torch."""

from dataclasses import dataclass

import numpy as np

from fewshot.episodes.sampling import Split


@dataclass(frozen=True)
class EpisodeSource:
    """One split of a data set, as the harness reads it: where the images of each class stand.

    images_IHWC: uint8, usually memory-mapped, of the whole data set; only rows of this split
    may be read. Class c of the split has the rows class_starts[c] .. + class_sizes[c].
    mean, std: per channel, of pixels scaled to 0..1. fingerprint: of the data set's content.
    memory_gb: how much of the images (2^30 bytes) may be held in memory, or in a GPU's; None: all
    that is read, and on a GPU all that fits.
    """

    dataset: str
    split: Split
    images_IHWC: np.ndarray
    class_names: tuple[str, ...]
    class_starts: np.ndarray
    class_sizes: np.ndarray
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    fingerprint: str
    memory_gb: float | None = None

    @property
    def rows(self) -> np.ndarray:
        """Rows of all images of the split, class by class."""
        ranges = zip(self.class_starts, self.class_sizes, strict=True)
        return np.concatenate([start + np.arange(size) for start, size in ranges])

    @property
    def image_size(self) -> int:
        """Height and width of an image, in pixels."""
        return int(self.images_IHWC.shape[1])
