"""What a data set is made of: the forms it is held in, and how it is split and normalised."""

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from fewshot.data.splits import ClassSplit
from fewshot.data.untrusted.files import Files

RGB = tuple[float, float, float]
Blocks = Generator[np.ndarray, None, None]
"""Images in order, some at a time: images_IHWC (uint8 RGB)."""
BLOCK_IMAGES = 32
"""Decoded by one thread and handed over together. One by one, the thread that writes them would
wait for Python's lock so often that an import took seven times as long."""


class Reading(NamedTuple):
    """What a reader finds in a source.

    class_sizes: sorted by class name. images: from a row on, class by class as in class_sizes.
    info: how the source was read, kept with the store. split: the classes of train, val and test,
    where they have names of the source's own.
    """

    class_sizes: dict[str, int]
    images: Callable[[int], Blocks]
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


def in_threads(
    image: Callable[[int], np.ndarray], count: int, threads: int | None = None
) -> Callable[[int], Blocks]:
    """From a row on, `image(row)` for each of `count` rows in order, computed by several threads.

    image: safe to call from any thread. threads: as many as there are processors, unless given.
    No more than a few blocks a thread are held at a time.
    """
    workers = threads or os.cpu_count() or 1

    def block(first: int) -> np.ndarray:
        return np.stack([image(row) for row in range(first, min(first + BLOCK_IMAGES, count))])

    def images(start: int) -> Blocks:
        waiting: deque[Future[np.ndarray]] = deque()
        with ThreadPoolExecutor(workers) as pool:
            try:
                for first in range(start, count, BLOCK_IMAGES):
                    waiting.append(pool.submit(block, first))
                    if len(waiting) > 2 * workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    return images
