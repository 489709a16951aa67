"""Bytes that lie in a file on disk, read where they are."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from threading import Lock
from typing import IO

from fewshot.errors import UserError

_SMALLEST, _LARGEST = 1 << 12, 1 << 16  # what a Cursor reads at a time


class File:
    """An open file that many Blobs share; closed with the last of them."""

    __slots__ = ("_descriptor", "_lock")

    def __init__(self, handle: IO[bytes]) -> None:
        # A descriptor of our own: a file object in a cycle would complain of not being closed.
        self._descriptor = os.dup(handle.fileno())
        self._lock = Lock()

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):  # not if there were too many open files
            os.close(self._descriptor)

    @property
    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read(self, start: int, size: int) -> bytes:
        """Return `size` bytes, fewer only where the file ends."""
        data = piece = self._read_some(start, size)
        while piece and len(data) < size:  # systems read at most 2 GB at once
            piece = self._read_some(start + len(data), size - len(data))
            data += piece
        return data

    def write(self, start: int, data: bytes) -> None:
        view = memoryview(data)
        with self._lock:
            os.lseek(self._descriptor, start, os.SEEK_SET)
            while view:
                view = view[os.write(self._descriptor, view) :]

    def _read_some(self, start: int, size: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, size, start)
        with self._lock:
            os.lseek(self._descriptor, start, os.SEEK_SET)
            return os.read(self._descriptor, size)


@dataclass(slots=True, eq=False)  # there may be half a million of them
class Blob:
    """Some bytes of a file on disk, which is held open: `size` of them. name: for messages."""

    _file: File
    _start: int
    size: int
    name: str

    @classmethod
    def of_file(cls, path: Path, name: str | None = None) -> "Blob":
        """Return all of a file. Raises UserError when it cannot be opened, or is no plain file."""
        name = shown(path.name) if name is None else name
        try:
            if not S_ISREG(path.stat().st_mode):  # a pipe would wait for its other end
                raise UserError(f"{name}: not a file")
            with path.open("rb") as handle:
                file = File(handle)
            return cls(file, 0, file.size, name)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", error)
            raise UserError(f"{name}: cannot be read ({why})") from error

    def read(self, start: int = 0, size: int | None = None) -> bytes:
        """Return `size` bytes from `start` on, by default all up to the end; from any thread.

        Raises UserError where the file cannot be read, or is shorter than it was.
        """
        size = self.size - start if size is None else size
        self._check_range(start, size)
        try:
            data = self._file.read(self._start + start, size)
        except (OSError, MemoryError) as error:
            why = getattr(error, "strerror", "too large for the memory")
            raise UserError(f"{self.name}: cannot be read ({why})") from error
        if len(data) != size:
            raise UserError(f"{self.name}: shorter than it was when it was opened")
        return data

    def part(self, start: int, size: int, name: str | None = None) -> "Blob":
        """Return `size` bytes from `start` on as a Blob. Raises UserError if that leads outside."""
        self._check_range(start, size)
        return Blob(self._file, self._start + start, size, self.name if name is None else name)

    def _check_range(self, start: int, size: int) -> None:
        if not (0 <= start <= self.size and 0 <= size <= self.size - start):
            where = f"{size} bytes at {start} asked for, of {self.size}"
            raise UserError(f"{self.name}: damaged or truncated ({where})")


class Cursor:
    """Reads a Blob from front to back through a small buffer; what is skipped stays unread.

    Every method raises EOFError where the Blob ends before what is asked for.
    """

    __slots__ = ("_at", "_base", "_blob", "_buffer", "_window")

    def __init__(self, blob: Blob, start: int = 0) -> None:
        self._blob = blob
        self._base = start
        self._buffer = b""
        self._at = 0  # in the buffer, or beyond it after a skip
        self._window = _SMALLEST

    @property
    def position(self) -> int:
        """Return where the next byte lies in the Blob."""
        return self._base + self._at

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes, which should be few."""
        if self._at + size > len(self._buffer):
            self._fill(size)
        start = self._at
        self._at = start + size
        return self._buffer[start : self._at]

    def skip(self, size: int) -> int:
        """Pass over `size` bytes; returns where they start in the Blob."""
        start = self._base + self._at
        if not 0 <= size <= self._blob.size - start:
            raise EOFError(f"{size} bytes announced, {self._blob.size - start} left")
        self._at += size
        return start

    def to_newline(self) -> int:
        """Count the bytes before the next newline."""
        found = self._buffer.find(b"\n", self._at)
        if found >= 0:
            return found - self._at
        start = at = self.position
        while at < self._blob.size:
            piece = self._blob.read(at, min(_LARGEST, self._blob.size - at))
            if (found := piece.find(b"\n")) >= 0:
                return at + found - start
            at += len(piece)
        raise EOFError("a line without end")

    def _fill(self, size: int) -> None:
        start = self.position
        left = self._blob.size - start
        if size > left:
            raise EOFError(f"{size} bytes announced, {left} left")
        onward = self._at <= len(self._buffer)
        self._window = min(2 * self._window, _LARGEST) if onward else _SMALLEST
        self._buffer = self._blob.read(start, min(left, max(size, self._window)))
        self._base, self._at = start, 0


def is_web_page(head: bytes) -> bool:
    """Return whether a file that begins so is HTML, be it UTF-8 or UTF-16."""
    head = head[:1024].replace(b"\0", b"")  # zeros: UTF-16
    html = rb"(\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*<(!doctype\s+html|html)\b"
    return re.match(html, head, re.IGNORECASE) is not None


def refuse_web_page(blob: Blob) -> None:
    """Raise UserError when a web page was saved in place of the file."""
    if is_web_page(blob.read(0, min(blob.size, 1024))):
        raise UserError(
            f"{blob.name}: a web page, not the file: its host refused the download "
            "(a quota or a login page); fetch it with a browser, or from elsewhere"
        )


def shown(name: str) -> str:
    """Return the name as it may stand in a message of one line."""
    return name if name.isprintable() else ascii(name)
