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
        import pandas as pd  # slow to import

        known = pd.DataFrame({"hash": self.hashes_I, "of_class": np.arange(len(self.hashes_I))})
        known["of_class"] //= self.per_class
        found = pd.DataFrame({"hash": hashes(images_IHWC), "label": labels_I})
        # The class of a label is the one that most of its images are in: of a whole class at most
        # ten are in another one too.
        pairs = found.drop_duplicates().merge(known.drop_duplicates(), on="hash")
        counts = pd.crosstab(pairs["label"], pairs["of_class"])
        if counts.empty or len(counts) < found["label"].nunique():
            return None
        found["of_class"] = found["label"].map(counts.idxmax(axis=1))
        # Equal pixels in order: the k-th found is the k-th known.
        known["copy"] = known.groupby(["hash", "of_class"]).cumcount()
        found["copy"] = found.groupby(["hash", "label"]).cumcount()
        keys = ["hash", "of_class", "copy"]
        indices = found.merge(known.reset_index(), "left", keys)["index"]
        unsound = indices.isna().any() or indices.duplicated().any()
        return None if unsound else indices.to_numpy(np.int64)


def hashes(images_IHWC: np.ndarray) -> np.ndarray:
    """Return the first 4 bytes of the SHA-256 of each image's pixels, as a number (uint32, I)."""
    digests = (sha256(image_HWC.tobytes()).digest()[:HASH_BYTES] for image_HWC in images_IHWC)
    return np.frombuffer(b"".join(digests), "<u4").astype(np.uint32)
