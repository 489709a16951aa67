"""The names that a pickle may ask for, and the values made of them: arrays and bytes.

Nothing is looked up in a library: a name stands for a function of this module, which checks what it
is given.
"""

import codecs
import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from fewshot.data.untrusted.arrays import Array, fault
from fewshot.data.untrusted.blobs import Blob, shown
from fewshot.data.untrusted.pickle_machine import (
    DType,
    Function,
    LongText,
    Machine,
    NotPlainError,
    Unbuilt,
    short_text,
)
from fewshot.data.untrusted.unpack import CHUNK

LATIN = ("latin1", "latin-1")


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
