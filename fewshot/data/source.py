"""What a data set is made of: how it is read, split and normalised."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fewshot.data.splits import ClassSplit

RGB = tuple[float, float, float]


class Reading(NamedTuple):
    """What a reader finds in a source: images_HWC (uint8) come class by class, as in class_sizes.

    class_sizes: sorted by class name. info: how the source was read, kept with the store.
    """

    class_sizes: dict[str, int]
    images: Iterator[np.ndarray]
    info: dict[str, Any]


@dataclass(frozen=True)
class DataSource:
    """A data set the suite knows.

    image_size: edge in pixels. mean, std: per channel, of pixels scaled to 0..1.
    read: from the path of a source. split: makes its class split.
    fetch: downloads into a folder and returns the source's path; None where that is not possible.
    drawn: the suite makes the images itself, and `read` ignores its path.
    """

    name: str
    description: str
    image_size: int
    mean: RGB
    std: RGB
    read: Callable[[Path], Reading]
    split: Callable[[], ClassSplit]
    fetch: Callable[[Path], Path] | None = None
    drawn: bool = False
