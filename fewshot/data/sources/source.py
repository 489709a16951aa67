"""What a data set is made of: the forms it is held in, and how it is split and normalised."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from fewshot.data.splits import ClassSplit
from fewshot.data.untrusted.files import Files

RGB = tuple[float, float, float]
ImagesBetween = Callable[[int, int], Iterator[np.ndarray]]
"""Images of the rows from one up to another, some at a time: images_IHWC (uint8 RGB)."""
BLOCK_IMAGES = 32  # at a time: few enough to be held, enough that hashing and writing cost little


class Reading(NamedTuple):
    """What a reader finds in a source.

    class_sizes: sorted by class name. images: class by class as in class_sizes; any part can be
    asked for, from several processes or threads at once. info: how the source was read, kept with
    the store. split: the classes of train, val and test, where they have names of the source's own.
    """

    class_sizes: dict[str, int]
    images: ImagesBetween
    info: dict[str, Any]
    split: ClassSplit | None = None


@dataclass(frozen=True)
class Asked:
    """What the user asks of an import.

    size: edge in pixels. resample: how images of another size are brought to it (a name of
    `resample.RESAMPLERS`); None refuses them. lists: files that say which images are meant.
    """

    size: int
    resample: str | None = None
    lists: Files | None = None


@dataclass(frozen=True)
class Form:
    """A form in which people hold a data set.

    name: what messages call it. looks: its files, for those who have others. find: what `read`
    needs to know, from the names of all files alone; None where they are not of this form.
    """

    name: str
    looks: str
    find: Callable[[Sequence[str]], Any]
    read: Callable[[Files, Any, Asked], Reading]


@dataclass(frozen=True)
class DataSource:
    """A data set the suite knows.

    image_size: edge in pixels, where no other is asked for. mean, std: per channel, of pixels
    scaled to 0..1. forms: in the order in which they are tried. split: makes its class split,
    where that does not come with the images. check: raises UserError for a reading that is not the
    data set. drawn: makes its images, where the suite does so itself.
    """

    name: str
    description: str
    image_size: int
    mean: RGB
    std: RGB
    split: Callable[[], ClassSplit] | None = None
    forms: tuple[Form, ...] = ()
    check: Callable[[Reading], None] = field(default=lambda reading: None)
    drawn: Callable[[], Reading] | None = None


def one_by_one(image: Callable[[int], np.ndarray]) -> ImagesBetween:
    """Rows of images from a function that gives the image of one row."""

    def images(start: int, stop: int) -> Iterator[np.ndarray]:
        for first in range(start, stop, BLOCK_IMAGES):
            rows = range(first, min(first + BLOCK_IMAGES, stop))
            one = image(first)
            block_IHWC = np.empty((len(rows), *one.shape), one.dtype)
            block_IHWC[0] = one
            for i, row in enumerate(rows[1:], 1):
                block_IHWC[i] = image(row)
            yield block_IHWC

    return images
