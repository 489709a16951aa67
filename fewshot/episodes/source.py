"""One split of a data set: where the images of each class stand. Needs no torch."""

from dataclasses import dataclass

import numpy as np

from fewshot.episodes.sampling import EpisodeShape, Split, check_class_count, check_class_size


@dataclass(frozen=True)
class EpisodeSource:
    """One split of a data set, as the harness reads it.

    images_IHWC: uint8, usually memory-mapped, the images of all splits; only those at `indices`
    may be read. Class c of the split has the indices class_starts[c] .. + class_sizes[c].
    mean, std: of each channel, of pixels scaled to 0..1. fingerprint: a hash of the data set's
    content.
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

    @property
    def indices(self) -> np.ndarray:
        """Indices of all images of the split, class by class."""
        ranges = zip(self.class_starts, self.class_sizes, strict=True)
        return np.concatenate([start + np.arange(size) for start, size in ranges])

    @property
    def image_size(self) -> int:
        """Height and width of an image, in pixels."""
        return int(self.images_IHWC.shape[1])

    def check_shape(self, shape: EpisodeShape) -> None:
        """Raise UserError unless every class of the split can serve in episodes of this shape."""
        where = f"{self.dataset}: "
        check_class_count(len(self.class_names), self.split, shape, where)
        smallest = int(self.class_sizes.argmin())
        name = f"'{self.class_names[smallest]}'"
        check_class_size(int(self.class_sizes[smallest]), name, self.split, shape, where)
