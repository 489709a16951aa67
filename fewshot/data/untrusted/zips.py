"""Reads the members of a zip where they lie, or unpacks them."""

import zlib
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from stat import S_IFMT, S_ISREG
from struct import Struct
from threading import Lock

from fewshot.data.untrusted.blobs import Blob, Cursor, shown
from fewshot.data.untrusted.members import (
    NO_ARCHIVE,
    Files,
    Members,
    Table,
    check_readable,
    member_label,
    safe_path,
    told,
)
from fewshot.data.untrusted.unpack import Scratch, limited, refuse_bomb, unpacked
from fewshot.errors import UserError

STORED, METHODS = 0, {8: "deflate", 12: "bzip2"}
ENCRYPTED, UTF8, UNIX = 0x41, 0x800, 3
WIDE = 0xFFFFFFFF  # in place of a number that stands in the zip64 part
END_MARK, END64_MARK, LOCATOR_MARK = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_END = Struct("<4s8x2I2x")
_LOCATOR = Struct("<4s16x")
_END64 = Struct("<4s36x2Q")
_ENTRY = Struct("<4sH2x2H4x3I3H4x2I")
_LOCAL = Struct("<4s22x2H")


class _Zip(Members):
    """Members of a zip; those that are compressed are copied to `scratch` once, if need be.

    columns: of each member its method, checksum, packed and true size, and offset.
    """

    def __init__(
        self, archive: Blob, scratch: Path | None, names: Sequence[str], columns: "list[array[int]]"
    ) -> None:
        self._archive, self._names, self._columns = archive, names, columns
        self._scratch, self._copies, self._lock = Scratch(scratch), dict[int, Blob](), Lock()

    def size(self, index: int) -> int:
        return self._columns[3][index]

    def read(self, index: int) -> bytes:
        method, crc, packed_size, size, offset = (column[index] for column in self._columns)
        packed = self._packed(index, packed_size, offset)
        check_readable(packed.name, size)
        pieces = _zip_pieces(packed, method, crc)
        return b"".join(limited(pieces, packed.name, packed_size, size))

    def blob(self, index: int) -> Blob:
        method, crc, packed_size, size, offset = (column[index] for column in self._columns)
        packed = self._packed(index, packed_size, offset)
        if method == STORED:
            return packed
        with self._lock:
            if index not in self._copies:
                pieces = _zip_pieces(packed, method, crc)
                self._copies[index] = self._scratch.copy(pieces, packed.name, packed_size, size)
            return self._copies[index]

    def _packed(self, index: int, size: int, offset: int) -> Blob:
        label = member_label(self._archive, self._names[index])
        mark, name_size, extra_size = _LOCAL.unpack(self._archive.read(offset, _LOCAL.size))
        if mark != b"PK\3\4":
            raise UserError(f"{label}: cannot be read (no header where one belongs)")
        return self._archive.part(offset + _LOCAL.size + name_size + extra_size, size, label)


def _zip_pieces(packed: Blob, method: int, expected_crc: int) -> Iterator[bytes]:
    """Give the content of a member in pieces; raises UserError when its checksum is another."""
    crc = 0
    for piece in [packed.read()] if method == STORED else unpacked(packed, METHODS[method]):
        crc = zlib.crc32(piece, crc)
        yield piece
    if crc != expected_crc:
        raise UserError(f"{packed.name}: cannot be read (damaged: wrong checksum)")


def open_zip(blob: Blob, source: Path, scratch: Path | None = None) -> Files:
    """Return the files of a zip. Raises UserError as `open_files` does."""
    table = Table(source, 5)
    with told(blob.name, "zip"):
        start, end, base = _find_directory(blob)
        for path, method, crc, packed_size, size, offset in _files(blob, start, end):
            table.add(path, method, crc, packed_size, size, base + offset)
    names, columns = table.sorted()
    _, _, packed, sizes, offsets = columns
    refuse_bomb(blob.name, sum(packed), sum(sizes))
    _check_overlaps(blob, packed, offsets, start)
    return Files(source, names, _Zip(blob, scratch, names, columns))


def _find_directory(blob: Blob) -> tuple[int, int, int]:
    """Return where the central directory starts and ends, and where the zip itself starts."""
    tail_start = max(0, blob.size - _END.size - 0xFFFF)
    tail = blob.read(tail_start)
    at = tail.rfind(END_MARK)
    if at < 0 or len(tail) - at < _END.size:
        raise UserError(f"{blob.name}: {NO_ARCHIVE} that is whole")
    _, size, offset = _END.unpack_from(tail, at)
    end = tail_start + at
    if tail[max(0, at - _LOCATOR.size) : at].startswith(LOCATOR_MARK):
        end -= _LOCATOR.size + _END64.size
        mark, size, offset = _END64.unpack(blob.read(end, _END64.size))
        if mark != END64_MARK:
            raise ValueError("no zip64 end where one belongs")
    base = end - size - offset
    if base < 0:
        raise ValueError("truncated, or in several parts")
    return end - size, end, base


def _files(blob: Blob, start: int, end: int) -> Iterator[tuple[str, int, int, int, int, int]]:
    """Give path, method, checksum, packed and true size, and offset of each file in the directory.

    Raises UserError for a member that must not or cannot be read, ValueError for damage.
    """
    cursor = Cursor(blob, start)
    while cursor.position < end:
        fields = _ENTRY.unpack(cursor.take(_ENTRY.size))
        mark, made_by, flags, method, crc, packed, size = fields[:7]
        name_size, extra_size, comment_size, attributes, offset = fields[7:]
        if mark != b"PK\1\2":
            raise ValueError(f"no entry at byte {cursor.position - _ENTRY.size}")
        name = cursor.take(name_size).decode("utf-8" if flags & UTF8 else "cp437")
        size, packed, offset = _widened(cursor.take(extra_size), size, packed, offset)
        cursor.skip(comment_size)
        path, label = safe_path(name, blob), member_label(blob, name)
        if name.endswith(("/", "\\")):
            continue
        mode = attributes >> 16 if made_by >> 8 == UNIX else 0
        if flags & ENCRYPTED:
            raise UserError(f"{label}: encrypted")
        if S_IFMT(mode) and not S_ISREG(mode):
            raise UserError(f"{label}: a link or a device, not a file")
        if method not in (STORED, *METHODS):
            raise UserError(f"{label}: compressed in a way (number {method}) that is not read")
        if method == STORED and packed != size:
            raise ValueError(f"two sizes of {shown(name)}")
        refuse_bomb(label, packed, size)
        yield path, method, crc, packed, size, offset


def _widened(extra: bytes, *numbers: int) -> list[int]:
    """Return the numbers; those that do not fit 32 bits stand in the zip64 field of `extra`."""
    if WIDE not in numbers:
        return list(numbers)
    at = 0
    while at + 4 <= len(extra):
        kind, size = Struct("<2H").unpack_from(extra, at)
        if kind == 1:
            data = extra[at + 4 : at + 4 + size]
            wide = iter(Struct(f"<{len(data) // 8}Q").unpack_from(data))
            return [next(wide, WIDE) if number == WIDE else number for number in numbers]
        at += 4 + size
    return list(numbers)


def _check_overlaps(blob: Blob, packed: Sequence[int], offsets: Sequence[int], end: int) -> None:
    """Raise UserError where members share bytes: so one could unpack what is there twice."""
    order = sorted(range(len(offsets)), key=offsets.__getitem__)
    for index, limit in zip(order, [*map(offsets.__getitem__, order[1:]), end], strict=False):
        if offsets[index] + _LOCAL.size + packed[index] > limit:
            raise UserError(f"{blob.name}: a damaged zip (its members overlap)")
