"""The files of a source by name, and the checks that every archive must pass."""

import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PureWindowsPath

from fewshot.data.untrusted.blobs import Blob, shown
from fewshot.errors import UserError

MAX_MEMBERS = 2_000_000  # ILSVRC has 1.4 million images
MAX_READ = 1 << 30
NO_ARCHIVE = "neither a folder nor a zip or tar"


@dataclass(frozen=True)
class Files:
    """The files of a source. names: sorted, with '/', relative, leading nowhere outside.

    open_one: gives the bytes of the file at an index of `names`. The methods may be called from any
    thread; each raises UserError when there is no such file, or when it is damaged.
    """

    source: Path
    names: tuple[str, ...]
    open_one: Callable[[int], Blob] = field(repr=False, compare=False)

    def size(self, name: str) -> int:
        """Return the size of a file in bytes."""
        return self.blob(name).size

    def read(self, name: str) -> bytes:
        """Return a whole file, of at most MAX_READ bytes."""
        blob = self.blob(name)
        check_readable(blob.name, blob.size)
        return blob.read()

    def blob(self, name: str) -> Blob:
        """Return a file where it lies on disk; if it is compressed, a copy that is made once."""
        return self.open_one(self.index(name))

    def index(self, name: str) -> int:
        """Return where a name stands among the names."""
        index = bisect_left(self.names, name)
        if index == len(self.names) or self.names[index] != name:
            raise UserError(f"{self.source}: no file '{shown(name)}'")
        return index


class Table:
    """Names with some whole numbers each; half a million of them in little memory."""

    def __init__(self, source: Path, n_columns: int) -> None:
        self._source = source
        self._names: list[str] = []
        self._columns = [array("q") for _ in range(n_columns)]

    def add(self, name: str, *numbers: int) -> None:
        if not name:
            raise UserError(f"{self._source}: a file without a name")
        if len(self._names) == MAX_MEMBERS:
            raise UserError(f"{self._source}: more than {MAX_MEMBERS} files")
        self._names.append(name)
        for column, number in zip(self._columns, numbers, strict=True):
            column.append(number)

    def sorted(self) -> "tuple[tuple[str, ...], list[array[int]]]":
        """Return the names in order, and their numbers. Raises UserError if a name stands twice."""
        order = sorted(range(len(self._names)), key=self._names.__getitem__)
        names = tuple(map(self._names.__getitem__, order))
        for one, other in pairwise(names):
            if one == other:
                raise UserError(f"{self._source}: {shown(one)}: stands there twice")
        return names, [array("q", map(c.__getitem__, order)) for c in self._columns]


def safe_path(member: str, archive: Blob) -> str:
    """Return a member's path; raises UserError when it would lead out of the archive."""
    path = member.removeprefix("./")
    if not re.search(r"[\\:\0]|(?:^|/)\.{0,2}(?:/|$)", path):
        return path
    windows = PureWindowsPath(path)  # knows '/' and '\\' and drive letters
    outside = windows.is_absolute() or windows.drive or windows.root or ".." in windows.parts
    if outside or "\0" in path:
        raise UserError(f"{member_label(archive, member)}: a path that leads out of the archive")
    return "" if path in ("", ".") else windows.as_posix()


def member_label(archive: Blob, member: str) -> str:
    """Return the name of a member for messages."""
    return f"{archive.name}: {shown(member)}"


def check_readable(name: str, size: int) -> None:
    """Raise UserError when so many bytes are too much for the memory."""
    if size > MAX_READ:
        raise UserError(f"{name}: too large to be read at once ({size} bytes)")


@contextmanager
def told(name: str, kind: str) -> Iterator[None]:
    """Turn an error in the bytes of an archive into a UserError that names it."""
    try:
        yield
    except (EOFError, ValueError, OverflowError) as error:
        raise UserError(f"{name}: a damaged or truncated {kind} ({error})") from error
