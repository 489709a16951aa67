"""Reads images that come one after another with a label each: those of arrays and pickles."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from fewshot.data.sources.images import fit
from fewshot.data.sources.source import Asked, Reading, one_by_one
from fewshot.data.untrusted.arrays import Array
from fewshot.data.untrusted.blobs import Blob
from fewshot.data.untrusted.pickles import load_pickle, text
from fewshot.errors import UserError


class LabelledImages(NamedTuple):
    """Some images and their classes: image(i) is uint8 RGB image_HWC, from any thread.

    name: of the file they are in, for messages. classes: the class name of each image.
    """

    name: str
    classes: Sequence[str]
    image: Callable[[int], np.ndarray]


def read_labelled(parts: Sequence[LabelledImages], asked: Asked, info: dict[str, Any]) -> Reading:
    """Return the images of all parts, class by class, within a class in their order.

    Raises UserError, as images are taken, naming the image that is not of the size asked.
    """
    classes = np.array([name for part in parts for name in part.classes])
    starts = np.cumsum([0, *(len(part.classes) for part in parts)])
    order = np.argsort(classes, kind="stable")
    names, sizes = np.unique(classes, return_counts=True)

    def image(index: int) -> np.ndarray:
        number = int(order[index])
        place = int(np.searchsorted(starts, number, side="right")) - 1
        part, i = parts[place], number - int(starts[place])
        return fit(part.image(i), asked.size, asked.resample, f"{part.name}: image {i}")

    class_sizes = dict(zip(names.tolist(), sizes.tolist(), strict=True))
    return Reading(class_sizes, one_by_one(image), info)


def name_labels(
    labels: np.ndarray, ids: Sequence[int], names: Sequence[str], where: str
) -> list[str]:
    """Return the class name of each label; ids[k] is the label of names[k].

    Raises UserError naming the file (`where`) when there is a label that is none of `ids`.
    """
    known = dict(zip(ids, names, strict=True))
    try:
        return [known[int(label)] for label in labels]
    except KeyError as error:
        raise UserError(f"{where}: label {error.args[0]} of no class") from None


def as_labels(labels: Any) -> np.ndarray:
    """Return labels as an array; raises ValueError for other things than whole numbers."""
    labels_I = np.asarray(labels.numpy() if isinstance(labels, Array) else labels)
    if labels_I.ndim != 1 or labels_I.dtype.kind not in "iu":
        raise ValueError(f"labels of {labels_I.shape} {labels_I.dtype}")
    return labels_I


@contextmanager
def reading(kind: str, where: str) -> Iterator[None]:
    """Raise UserError that `where` is no such `kind` for what data of another make bring up."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{where}: {kind} ({error})") from error


def load_table(blob: Blob) -> dict[str, Any]:
    """Return a pickled dict with text keys. Raises UserError when it holds anything else."""
    value = load_pickle(blob)
    if not isinstance(value, dict):
        raise UserError(f"{blob.name}: a {type(value).__name__}, not a table")
    return {text(key): part for key, part in value.items()}
