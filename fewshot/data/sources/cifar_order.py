"""The order of CIFAR-100's images: by class, then by original file name.

Some forms of CIFAR-100 hold its images without their file names, in an order of their own. A
record of 4 bytes an image, of the SHA-256 of its pixels, gives each its place again, and its
class; the 59,974 images that differ from one another differ in these bytes too.
`tests/helpers/records.py` writes the record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

import numpy as np

HASH_BYTES = 4
PER_CLASS = 600
SHAPE = (32, 32, 3)


@dataclass(frozen=True)
class Cifar100Order:
    """Hashes of all images in the canonical order, class by class, `per_class` of each (uint32)."""

    hashes_I: np.ndarray
    per_class: int = PER_CLASS

    @classmethod
    def load(cls) -> "Cifar100Order":
        """Return the order of all 60,000 images."""
        file = files("fewshot.data") / "variants" / "cifar100.order.bin"
        return cls(np.frombuffer(file.read_bytes(), "<u4"))

    def identify(
        self, images_IHWC: np.ndarray, labels_I: Sequence[int] | np.ndarray
    ) -> np.ndarray | None:
        """Return each image's canonical index (int64), 0..59999; its class is index // per_class.

        labels_I: whatever tells the classes apart in the images' source; their values need not
        mean anything. 17 images stand in two classes with the very same pixels, and only the rest
        of its class says which one is meant. 9 stand twice in aquarium_fish: these, whose pixels
        are the same, get their indices in the order in which they come.

        None when the images are not of CIFAR-100: any is not in the record, stands more often
        than there, or shares its label with images of another class. One image in 70,000 passes
        by chance; what the store's fingerprint says of all of them is beyond doubt.
        """
        if images_IHWC.shape[1:] != SHAPE or images_IHWC.dtype != np.uint8:
            return None
        labels_I = np.asarray(labels_I)
        hashes_I = hashes(images_IHWC)
        indices_I = np.empty(len(hashes_I), np.int64)
        for label in np.unique(labels_I):
            members = np.flatnonzero(labels_I == label)
            indices = self._indices_of_class(hashes_I[members])
            if indices is None:
                return None
            indices_I[members] = indices
        return indices_I if len(np.unique(indices_I)) == len(indices_I) else None

    def _indices_of_class(self, hashes_I: np.ndarray) -> np.ndarray | None:
        """Return the indices of images of one class; None where there is no such class."""
        indices = np.flatnonzero(np.isin(self.hashes_I, hashes_I))
        if len(indices) == 0:
            return None
        # The class that most of them are in: of a whole class at most ten are in another one too.
        of_class = np.bincount(indices // self.per_class).argmax()
        indices = indices[indices // self.per_class == of_class]
        # Equal pixels next to each other on both sides, in order: the k-th found is the k-th known.
        known, found = (np.argsort(h, kind="stable") for h in (self.hashes_I[indices], hashes_I))
        known_hashes, found_hashes = self.hashes_I[indices][known], hashes_I[found]
        places = np.searchsorted(known_hashes, found_hashes) + _rank_among_equals(found_hashes)
        if places.max() >= len(indices) or (known_hashes[places] != found_hashes).any():
            return None
        indices_I = np.empty(len(hashes_I), np.int64)
        indices_I[found] = indices[known[places]]
        return indices_I


def hashes(images_IHWC: np.ndarray) -> np.ndarray:
    """Return the first 4 bytes of the SHA-256 of each image's pixels, as a number (uint32, I)."""
    digests = (sha256(image_HWC.tobytes()).digest()[:HASH_BYTES] for image_HWC in images_IHWC)
    return np.frombuffer(b"".join(digests), "<u4").astype(np.uint32)


def _rank_among_equals(sorted_I: np.ndarray) -> np.ndarray:
    """Count the equal values that stand before each one: 0 0 1 0 of 3 7 7 9."""
    return np.arange(len(sorted_I)) - np.searchsorted(sorted_I, sorted_I)
