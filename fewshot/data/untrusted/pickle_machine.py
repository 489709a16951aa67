"""The machine that reads a pickle: a stack, a memo, and the values that it may hold."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fewshot.data.untrusted.blobs import Blob, Cursor
from fewshot.data.untrusted.unpack import Scratch

LONG = 4096
LONG_IF_MANY, MANY_BYTES = 256, 128 << 20  # once so many are in memory, shorter ones stay on disk
MAX_STEPS = 10_000_000
MAX_MARKS = 1000
MAX_DIGITS, MAX_INT_BYTES, MAX_LINE = 310, 128, 1024
STOP = ord(".")
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
