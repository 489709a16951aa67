"""CIFAR-100, train and test merged: from class folders, or from the official Python archive."""

import pickle
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from fewshot.data.images import read_class_folders
from fewshot.data.source import DataSource, Reading
from fewshot.data.splits import check_class_sizes, load_split
from fewshot.errors import UserError

IMAGE_SIZE = 32
IMAGES_PER_CLASS = 600
FOLDER, BATCHES = "cifar-100-python", ("train", "test")  # of the official archive
MEAN, STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
NOT_CIFAR = "not the CIFAR-100 Python archive"


def read(source: Path, per_class: int = IMAGES_PER_CLASS) -> Reading:
    """CIFAR-100 from class folders (folder or zip), cifar-100-python.tar.gz, or its folder.

    Every way gives the same images in the same order: by class, then by original file name.
    Raises UserError unless there are the 100 classes with `per_class` images each.
    """
    folder = source / FOLDER if (source / FOLDER).is_dir() else source
    if (folder / "meta").is_file():
        reading = _read_batches(lambda name: (folder / name).open("rb"), source.name)
    elif source.is_file() and tarfile.is_tarfile(source):
        with _open_tar(source) as open_member:
            reading = _read_batches(open_member, source.name)
    else:
        reading = read_class_folders(source, IMAGE_SIZE)
    expected = replace(load_split("cifar-fs"), source="CIFAR-100")
    check_class_sizes(reading.class_sizes, expected, per_class)
    return reading


def fetch(directory: Path) -> Path:
    """Download the official archive into `directory`, check it, and return its path.

    Raises UserError saying what to do by hand when the download fails.
    """
    from torchvision.datasets import CIFAR100  # slow to import, and needed only here

    try:
        CIFAR100(str(directory), download=True)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"cannot download CIFAR-100 ({error}); get {CIFAR100.url} by other means "
            f"and run `fewshot data import NAME {CIFAR100.filename}`"
        ) from error
    return directory / str(CIFAR100.filename)


class _ArrayUnpickler(pickle.Unpickler):
    """Admits numpy arrays and plain containers, so that no archive can run code."""

    _reconstruct = staticmethod(np.zeros(0).__reduce__()[0])  # type: ignore[arg-type]
    ADMITTED: ClassVar = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def load_pickle(file: IO[bytes], name: str) -> dict[str, Any]:
    """A dict from a Python 2 or 3 pickle of arrays and plain values; runs no code from it.

    Raises UserError naming the file when it holds anything else.
    """
    try:
        value = _ArrayUnpickler(file, encoding="latin1").load()
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise UserError(f"{name}: {NOT_CIFAR} ({error})") from error
    if not isinstance(value, dict):
        raise UserError(f"{name}: {NOT_CIFAR} (a {type(value).__name__})")
    return {_text(key): part for key, part in value.items()}


def _read_batches(open_file: Callable[[str], IO[bytes]], source_name: str) -> Reading:
    """Merge the archive's train and test batches, by class and original file name."""
    tables = {}
    for name in ("meta", *BATCHES):
        try:
            with open_file(name) as file:
                tables[name] = load_pickle(file, f"{source_name}: {name}")
        except OSError as error:
            raise UserError(f"{source_name}: {NOT_CIFAR} ({name}: {error.strerror})") from error
    try:
        class_names = [_text(name) for name in tables["meta"]["fine_label_names"]]
        pixels = np.concatenate([_pixels(tables[name]["data"]) for name in BATCHES])
        labels = [class_names[label] for name in BATCHES for label in tables[name]["fine_labels"]]
        stems = [Path(_text(file)).stem for name in BATCHES for file in tables[name]["filenames"]]
        order = sorted(zip(labels, stems, range(len(pixels)), strict=True))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(f"{source_name}: {NOT_CIFAR} ({error})") from error
    class_sizes = dict(sorted(Counter(labels).items()))
    info = {"source": source_name, "how": "official Python archive, train and test merged"}
    return Reading(class_sizes, (pixels[row] for _, _, row in order), info)


def _pixels(data: np.ndarray) -> np.ndarray:
    """images_IHWC from rows of 3072 bytes, channel by channel."""
    if data.dtype != np.uint8:
        raise ValueError(f"pixels of type {data.dtype}")
    return data.reshape(-1, 3, IMAGE_SIZE, IMAGE_SIZE).transpose(0, 2, 3, 1)


def _text(value: str | bytes) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else value


@contextmanager
def _open_tar(source: Path) -> Iterator[Callable[[str], IO[bytes]]]:
    """A function that opens a member by its bare name; nothing is unpacked."""
    try:
        with tarfile.open(source) as archive:
            members = {Path(member.name).name: member for member in archive if member.isfile()}

            def open_member(name: str) -> IO[bytes]:
                file = archive.extractfile(members[name]) if name in members else None
                if file is None:
                    raise UserError(f"{source.name}: {NOT_CIFAR} (no file '{name}')")
                return file

            yield open_member
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise UserError(f"{source.name}: truncated or not an archive ({error})") from error


CIFAR_FS = DataSource(
    "cifar-fs",
    "CIFAR-100, split by class 64/16/20 (Bertinetto et al. 2019)",
    IMAGE_SIZE,
    MEAN,
    STD,
    read=read,
    split=lambda: load_split("cifar-fs"),
    fetch=fetch,
)
FC100 = replace(
    CIFAR_FS,
    name="fc100",
    description="CIFAR-100, split by superclass 60/20/20 (Oreshkin et al. 2018)",
    split=lambda: load_split("fc100"),
)
