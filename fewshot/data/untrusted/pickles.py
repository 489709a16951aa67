"""Pickles of arrays and plain values, read by a machine of our own that can build nothing else.

What a pickle asks for by name is looked up in a table of ours, never in a library: no code but this
runs. Strings of LONG bytes and more stay on disk, so that a file of gigabytes takes little memory.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from fewshot.data.untrusted.arrays import Array
from fewshot.data.untrusted.blobs import Blob, refuse_web_page, shown
from fewshot.data.untrusted.pickle_instructions import INSTRUCTIONS
from fewshot.data.untrusted.pickle_machine import KEYS, Machine, NotPlainError, text
from fewshot.errors import UserError

__all__ = ["load_pickle", "raw", "text"]

MAX_DEPTH = 64
MAX_VALUES = 64_000_000  # counting each time a value is referred to


def load_pickle(blob: Blob, scratch: Path | None = None) -> Any:
    """Return what a pickle of protocol 0 to 5, written by Python 2 or 3, holds, if that is plain.

    dict, list, tuple, str, int, float, bool, None; bytes and bytearray as bytes, or as a Blob from
    LONG bytes on; Python 2's str as bytes, see `text`; arrays as `Array`, those of objects as
    (nested) lists, numpy's scalars as plain values. scratch: where text that stands for bytes may
    be copied to, which Python 3 writes for Python 2.

    Raises UserError when it is damaged, or holds or does anything else.
    """
    refuse_web_page(blob)
    try:
        value = Machine(blob, scratch).run(INSTRUCTIONS)
        _check_plain(value)
    except NotPlainError as error:
        why = str(error)
    except EOFError as error:
        why = f"damaged or truncated: {error}"
    except MemoryError:
        why = "too large for the memory"
    except (LookupError, ValueError, TypeError, OverflowError) as error:
        why = f"damaged: {shown(str(error))[:100]}"
    else:
        return value
    raise UserError(f"{blob.name}: not a pickle of arrays and plain values ({why})")


def raw(value: bytes | Blob) -> bytes:
    """Return the bytes themselves, read from disk where they stayed there."""
    return value.read() if isinstance(value, Blob) else value


LEAVES = KEYS | {Blob, Array}


def _check_plain(value: Any) -> None:
    """Raise NotPlainError unless all values are plain and their tree is not too large.

    A few lists that hold one another many times over would keep for ever whoever walks them.
    """
    seen: dict[int, tuple[int, int]] = {}  # by id of a list, tuple or dict: values in it, depth
    entered: set[int] = set()
    todo = [value]
    while todo:
        item = todo[-1]
        if id(item) in seen:
            todo.pop()
            continue
        entered.add(id(item))
        parts = _parts(item)
        inner = [id(part) for part in parts if type(part) not in LEAVES]
        if not entered.isdisjoint(inner):
            raise NotPlainError("it holds itself")
        if new := [p for p in parts if type(p) not in LEAVES and id(p) not in seen]:
            todo += new
            continue
        size = len(parts) + sum(seen[key][0] for key in inner)
        depth = 1 + max((seen[key][1] for key in inner), default=0)
        if size > MAX_VALUES or depth > MAX_DEPTH:
            raise NotPlainError("nested too deeply, or too many values")
        seen[id(item)] = size, depth
        entered.discard(id(item))


def _parts(value: Any) -> Collection[Any]:
    if type(value) in LEAVES:
        return ()
    if type(value) not in (list, tuple, dict):
        kind = type(value).__name__.strip("_").lower()
        raise NotPlainError(f"a {kind} where a value belongs")
    return value.values() if isinstance(value, dict) else value
