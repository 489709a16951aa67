"""The machine that reads a pickle: a stack, a memo, the names that it knows, the values it makes.

Nothing is looked up in a library: a name stands for a function of this module, which checks what it
is given.
"""

import codecs
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fewshot.data.untrusted.arrays import Array, fault
from fewshot.data.untrusted.blobs import Blob, Cursor, shown
from fewshot.data.untrusted.unpack import CHUNK, Scratch

LONG = 4096
LONG_IF_MANY, MANY_BYTES = 256, 128 << 20  # once so many are in memory, shorter ones stay on disk
MAX_STEPS = 10_000_000
MAX_MARKS = 1000
MAX_DIGITS, MAX_INT_BYTES, MAX_LINE = 310, 128, 1024
STOP = ord(".")
LATIN = ("latin1", "latin-1")
KEYS = {type(None), bool, int, float, str, bytes}


def text(value: str | bytes) -> str:
    """Return text; Python 2 writes it as bytes, which pickles hold in latin-1 by convention."""
    return value.decode("latin-1") if isinstance(value, bytes) else value


class NotPlainError(Exception):
    """The pickle asks for something that is not admitted."""


class Function(NamedTuple):
    """Stands for what the pickle names. call: makes a value of arguments, which it checks."""

    call: "Callable[[Machine, tuple[Any, ...]], Any] | None"


class LongText(NamedTuple):
    """Text that stayed on disk; it stands for bytes, and is never a value itself."""

    blob: Blob
    encoding: str


@dataclass(slots=True, eq=False)
class DType:
    """The type of an array; its byte order comes only after it may have been referred to."""

    code: str
    order: str = "="

    def numpy(self) -> np.dtype:
        return np.dtype(self.order + self.code)


@dataclass(slots=True, eq=False)
class Unbuilt:
    """An array that has no content yet. places: where in the memo it stands."""

    places: list[int] = field(default_factory=list)


class Machine:
    """A stack, marks in it, and a memo, as the `pickle` module describes them."""

    def __init__(self, blob: Blob, scratch: Path | None) -> None:
        self.blob = blob
        self.input = Cursor(blob)
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []  # the stacks below each open mark
        self.memo: dict[int, Any] = {}
        self._scratch = Scratch(scratch)
        self._loaded, self._long = 0, LONG

    def run(self, instructions: "Sequence[Callable[[Machine], None]]") -> Any:
        """Carry out all instructions up to the last; returns the one value that is left."""
        take = self.input.take
        for _ in range(MAX_STEPS):
            code = take(1)[0]
            if code == STOP:
                if len(self.stack) != 1 or self.marks:
                    raise NotPlainError("damaged: it ends with other than one value")
                return self.stack[0]
            instructions[code](self)
        raise NotPlainError(f"more than {MAX_STEPS} instructions")

    def read_bytes(self, size: int) -> bytes | Blob:
        """Return the next `size` bytes, which stay on disk if they are many."""
        if size >= self._long:
            return self.blob.part(self.input.skip(size), size)
        self._loaded += size
        if self._loaded > MANY_BYTES:
            self._long = LONG_IF_MANY
        return self.input.take(size)

    def read_text(self, size: int, encoding: str) -> str | LongText:
        """Return the next `size` bytes as text; on disk if they are many and become bytes."""
        if size >= LONG and self._makes_bytes():
            return LongText(self.blob.part(self.input.skip(size), size), encoding)
        self._loaded += size
        if self._loaded > 2 * MANY_BYTES:  # unlike bytes, it cannot stay on disk
            raise NotPlainError("too much text")
        return self.input.take(size).decode(encoding)

    def copied(self, pieces: Iterable[bytes], size: int) -> Blob:
        """Write the bytes that text of `size` bytes stands for to disk."""
        return self._scratch.copy(pieces, self.blob.name, size)

    def read_line(self) -> str:
        """Return the next line, a short one."""
        size = self.input.to_newline()
        if size > MAX_LINE:
            raise NotPlainError("damaged: a line too long")
        return self.input.take(size + 1)[:-1].decode("latin-1")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        """Return all that was pushed since the last mark, and take the mark away."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    def _makes_bytes(self) -> bool:
        below = self.stack or (self.marks[-1] if self.marks else [])
        return bool(below) and type(below[-1]) is Function


def short_text(value: Any) -> str:
    """Return a name of either Python; raises NotPlainError when it is none."""
    if type(value) not in (str, bytes) or len(value) > MAX_LINE:
        raise NotPlainError("something else where a name belongs")
    return text(value)


def _encode(machine: Machine, arguments: tuple[Any, ...]) -> bytes | Blob:
    value, encoding = arguments
    if type(value) not in (str, LongText) or short_text(encoding) not in LATIN:
        raise NotPlainError("it asks for text in another encoding than latin-1")
    if isinstance(value, LongText):
        return machine.copied(_in_latin(value), value.blob.size)
    return value.encode("latin-1")


def _bytes(machine: Machine, arguments: tuple[Any, ...]) -> bytes | Blob:
    if len(arguments) == 2:
        return _encode(machine, arguments)
    (value,) = arguments or (b"",)
    if type(value) not in (bytes, Blob):
        raise NotPlainError("it makes bytes of something else")
    return value


def _reconstruct(_: Machine, arguments: tuple[Any, ...]) -> Unbuilt:
    kind, shape, code = arguments
    if kind is not NDARRAY or shape != (0,) or code not in (b"b", "b"):
        raise NotPlainError("an array made in an unknown way")
    return Unbuilt()


def _dtype(_: Machine, arguments: tuple[Any, ...]) -> DType:
    code, _, _ = arguments
    code = short_text(code)
    if not re.fullmatch(r"[biuf]\d{1,2}|[SU]\d{1,9}|O[48]?", code):
        raise NotPlainError(f"an array of type {shown(code)}")
    return DType(code)


def _scalar(_: Machine, arguments: tuple[Any, ...]) -> Any:
    dtype, data = arguments
    if data == b"" and type(dtype) is DType and dtype.code in ("S0", "U0"):
        return b"" if dtype.code == "S0" else ""
    value = _array(dtype, (), data).numpy()[()].item()
    return float(value) if isinstance(value, np.floating) else value


def _frombuffer(machine: Machine, arguments: tuple[Any, ...]) -> Array:
    data, dtype, shape, order, *axes = arguments
    order = short_text(order)
    if order in ("C", "F") and not any(axes):
        return _array(dtype, shape, data, fortran=order == "F")
    (axes,) = axes
    array = _array(dtype, shape, data)
    if order != "K" or type(axes) is not tuple or sorted(axes) != list(range(len(shape))):
        raise NotPlainError("an array in an unknown order")
    shape = tuple(shape[axis] for axis in axes)
    if axes[:1] != (0,):
        return Array(array.dtype, shape, array.numpy().transpose(axes).tobytes())
    parts = (array.part(i).transpose([axis - 1 for axis in axes[1:]]) for i in range(len(array)))
    size = array.dtype.itemsize * math.prod(shape)
    return Array(array.dtype, shape, machine.copied((part.tobytes() for part in parts), size))


NDARRAY = Function(None)
ADMITTED = {
    ("_codecs", "encode"): Function(_encode),
    ("__builtin__", "bytes"): Function(_bytes),
    ("__builtin__", "bytearray"): Function(_bytes),
    ("builtins", "bytes"): Function(_bytes),
    ("builtins", "bytearray"): Function(_bytes),
    ("numpy", "ndarray"): NDARRAY,
    ("numpy", "dtype"): Function(_dtype),
    ("numpy.core.multiarray", "_reconstruct"): Function(_reconstruct),
    ("numpy._core.multiarray", "_reconstruct"): Function(_reconstruct),
    ("numpy.core.multiarray", "scalar"): Function(_scalar),
    ("numpy._core.multiarray", "scalar"): Function(_scalar),
    ("numpy.core.numeric", "_frombuffer"): Function(_frombuffer),
    ("numpy._core.numeric", "_frombuffer"): Function(_frombuffer),
}


def _array(dtype: Any, shape: Any, data: Any, fortran: bool = False) -> Array:
    if type(dtype) is not DType or type(shape) is not tuple or type(data) not in (bytes, Blob):
        raise NotPlainError("an array made of something else")
    size = data.size if isinstance(data, Blob) else len(data)
    if why := fault(dtype.numpy(), shape, size):
        raise NotPlainError(why)
    return Array(dtype.numpy(), shape, data, fortran)


def _in_latin(value: LongText) -> Iterator[bytes]:
    decode = codecs.getincrementaldecoder(value.encoding)().decode
    for start in range(0, value.blob.size, CHUNK):
        piece = value.blob.read(start, min(CHUNK, value.blob.size - start))
        yield decode(piece, start + len(piece) == value.blob.size).encode("latin-1")


def byte_order(dtype: DType, state: tuple[Any, ...]) -> str:
    """Return the byte order that `dtype.__setstate__` would take from `state`, if it is plain."""
    _, order, *parts, size, _, _ = state[:8]
    order = short_text(order)
    known = size == -1 or size == np.dtype(dtype.code).itemsize
    if order not in ("<", ">", "|", "=") or parts != [None] * 3 or not known:
        raise NotPlainError("an array of a type with parts")
    return order


def built(state: tuple[Any, ...]) -> Any:
    """Return the array, or lists of an array of objects, as `ndarray.__setstate__` makes them."""
    _, shape, dtype, fortran, values = state
    if type(fortran) is not bool:
        raise NotPlainError("an array in an unknown order")
    if type(dtype) is not DType or not dtype.code.startswith("O"):
        return _array(dtype, shape, values, fortran)
    if type(shape) is not tuple or type(values) is not list:
        raise NotPlainError("an array made of something else")
    if why := fault(np.dtype("u1"), shape, len(values)):
        raise NotPlainError(why)
    if not shape:
        return values[0]
    for n in shape[:0:-1] if values else ():
        values = [values[i : i + n] for i in range(0, len(values), n)]
    return values
