"""The facts of a data set: the forms it is held in, where it is had, how it is split and scaled."""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from fewshot.data.splits import ClassSplit
from fewshot.data.untrusted.files import Files
from fewshot.episodes.sampling import Split

RGB = tuple[float, float, float]
ImagesBetween = Callable[[int, int], Iterator[np.ndarray]]
"""Gives the images from one index up to another, some at a time: images_IHWC (uint8 RGB)."""
BLOCK_IMAGES = 32  # at a time: few enough to be held, enough that hashing and writing cost little


class Reading(NamedTuple):
    """The images that a reader finds in a source.

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
    """The wishes of a user who imports.

    size: edge in pixels. resample: how images of another size are brought to it (a name of
    `images.RESAMPLERS`); None refuses them. lists: files that say which images are meant.
    """

    size: int
    resample: str | None = None
    lists: Files | None = None


@dataclass(frozen=True)
class Form:
    """A form in which people hold a data set.

    name: what messages call it. looks: its files, for those who have others. find: makes what
    `read` needs of the names of all files; None where they are not of this form.
    """

    name: str
    looks: str
    find: Callable[[Sequence[str]], Any]
    read: Callable[[Files, Any, Asked], Reading]


@dataclass(frozen=True)
class Download:
    """A file to have under `name`, from the first of `urls` that gives it.

    known_hash: 'md5:...' or 'sha256:...'. size: in bytes. None: not known beforehand.
    """

    name: str
    urls: tuple[str, ...]
    known_hash: str | None = None
    size: int | None = None


Alternatives = Sequence[Sequence[Download]]
"""Lists of files, tried in turn; of a list all files are needed."""


@dataclass(frozen=True)
class DataSource:
    """All facts of a data set.

    image_size: edge in pixels, where no other is asked for. mean, std: of each channel, of pixels
    scaled to 0..1. split: makes its class split, where that comes neither with the images nor from
    the user. forms: those in which people hold it, tried in this order. check: raises UserError for
    a reading that is not the data set. downloads: gives the files to fetch. drawn: makes its
    images, where they are not read. images: of each split, for estimates before they are here.
    photographs: its mean colour tells the order of the channels. in_suite: every command knows it
    by its name; the store of any other data set keeps the class split and the constants.
    """

    name: str
    description: str
    image_size: int
    mean: RGB
    std: RGB
    split: Callable[[], ClassSplit] | None = None
    forms: tuple[Form, ...] = ()
    check: Callable[[Reading], None] = field(default=lambda reading: None)
    downloads: Callable[[], Alternatives] | None = None
    drawn: Callable[[], Reading] | None = None
    images: Mapping[Split, int] | None = None
    photographs: bool = False
    in_suite: bool = False


def load_downloads(dataset: str) -> list[list[Download]]:
    """Return the files of a data set of the suite that `downloads.toml` names."""
    table = tomllib.loads((files("fewshot.data") / "downloads.toml").read_text("utf-8"))
    known = {
        name: Download(name, tuple(entry.pop("urls")), **entry)
        for name, entry in table["files"].items()
    }
    return [[known[name] for name in names] for names in table["alternatives"][dataset]]


def one_by_one(image: Callable[[int], np.ndarray]) -> ImagesBetween:
    """Return a reader of many images made of one that reads the image at an index."""

    def images(start: int, stop: int) -> Iterator[np.ndarray]:
        for first in range(start, stop, BLOCK_IMAGES):
            yield np.stack([image(i) for i in range(first, min(first + BLOCK_IMAGES, stop))])

    return images
