"""Arrays whose numbers may stay on disk, as they lie in .npy, .npz and pickle files."""

import math
import warnings
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from fewshot.data.untrusted.blobs import Blob, refuse_web_page, shown
from fewshot.data.untrusted.zips import open_zip
from fewshot.errors import UserError

KINDS = "biufSU"  # bool, integers, floats, bytes, text: nothing that could hold an object
MAX_DIMENSIONS = 32
MAX_BYTES = 1 << 48
MAX_EMPTY = 1 << 20  # rows of no bytes cost nothing to claim, and for ever to walk
MAX_HEADER = 1024  # bytes; that of an array of numbers has 118


@dataclass(frozen=True)
class Array:
    """An array that may be on disk: its numbers are `data`, row by row unless `fortran`.

    dtype: of one of the KINDS. Raises UserError when the data are not as long as the shape says.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    data: bytes | Blob
    fortran: bool = False

    def __post_init__(self) -> None:
        if why := fault(self.dtype, self.shape, _length(self.data)):
            raise UserError(f"{self._name}: {why}")

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array without axes has no length")
        return self.shape[0]

    def numpy(self) -> np.ndarray:
        """Return the whole array, read from disk; not to be written to."""
        return self._part(0, _length(self.data), self.shape)

    def row(self, i: int) -> np.ndarray:
        """Return part `i` (from 0) of the first axis; reads nothing else, unless `fortran`."""
        if not 0 <= i < len(self):
            raise IndexError(f"row {i} of {len(self)}")
        if self.fortran and len(self.shape) > 1:
            return self._whole[i]
        size = self.dtype.itemsize * math.prod(self.shape[1:])
        return self._part(i * size, size, self.shape[1:])

    def _part(self, start: int, size: int, shape: tuple[int, ...]) -> np.ndarray:
        if isinstance(self.data, Blob):
            data = self.data.read(start, size)
        else:
            data = self.data[start : start + size]
        if self.dtype.kind == "U":
            self._check_text(data)
        return np.ndarray(shape, self.dtype, data, order="F" if self.fortran else "C")

    def _check_text(self, data: bytes) -> None:
        """Raise UserError where numpy would make text of numbers that are no letters."""
        big = self.dtype.newbyteorder("B") == self.dtype
        try:
            data.decode("utf-32-be" if big else "utf-32-le")
        except UnicodeDecodeError as error:
            raise UserError(f"{self._name}: damaged text in an array") from error

    @cached_property
    def _whole(self) -> np.ndarray:
        return self.numpy()

    @property
    def _name(self) -> str:
        return self.data.name if isinstance(self.data, Blob) else "array"


def fault(dtype: np.dtype, shape: tuple[int, ...], size: int) -> str | None:
    """Say why no array of this type and shape lies in `size` bytes; None if one can."""
    if dtype.kind not in KINDS or dtype.itemsize == 0:
        return f"an array of type {dtype}, which is not read"
    if len(shape) > MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in shape):
        return "an array of a shape that is none"
    if dtype.itemsize * math.prod(max(n, 1) for n in shape) > MAX_BYTES:
        return "an array too large for any disk"
    needed = dtype.itemsize * math.prod(shape)
    if needed == 0 and math.prod(max(n, 1) for n in shape) > MAX_EMPTY:
        return "an array of many rows and no bytes"
    if needed != size:
        return f"an array of {shape} {dtype} takes {needed} bytes, and there are {size}"
    return None


def open_npy(blob: Blob) -> Array:
    """Return the array of a .npy file, of which only the header is read now.

    Raises UserError when it is none, is damaged, or holds objects.
    """
    refuse_web_page(blob)
    head = BytesIO(blob.read(0, min(blob.size, 12 + MAX_HEADER)))
    try:
        shape, fortran, dtype = _read_header(head)
    # Damaged headers make Python's parser raise nearly anything.
    except Exception as error:
        why = str(error).partition("\n")[0]
        raise UserError(f"{blob.name}: not an .npy file of plain numbers ({why})") from error
    start = head.tell()
    return Array(dtype, shape, blob.part(start, blob.size - start), fortran)


def open_npz(blob: Blob, scratch: Path | None = None) -> dict[str, Array]:
    """Return the arrays of an .npz file by name; those that are compressed go to `scratch`.

    Raises UserError when it is none, is damaged or a bomb, or holds objects.
    """
    refuse_web_page(blob)
    files = open_zip(blob, Path(blob.name), scratch)
    for name in files.names:
        if not name.endswith(".npy"):
            raise UserError(f"{blob.name}: not an .npz file of arrays (it holds '{shown(name)}')")
    return {name.removesuffix(".npy"): open_npy(files.blob(name)) for name in files.names}


def _read_header(head: BytesIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(head)
    if version not in readers:
        raise ValueError(f"version {version[0]}.{version[1]}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it was written by Python 2
        return readers[version](head, max_header_size=MAX_HEADER)


def _length(data: bytes | Blob) -> int:
    return data.size if isinstance(data, Blob) else len(data)
