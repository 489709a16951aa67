"""Reads the members of a zip where they lie, or unpacks them."""

import zlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_IFMT, S_ISREG
from struct import Struct
from threading import Lock

from fewshot.data.untrusted.blobs import Blob, Cursor, shown
from fewshot.data.untrusted.members import (
    NO_ARCHIVE,
    Files,
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


@dataclass(frozen=True)
class _Zip(Files):
    """The files of a zip, which `open_one` gives packed; they are copied to `scratch` if need be.

    columns: of each file its method, checksum and true size.
    """

    columns: "list[array[int]]"
    scratch: Scratch
    copies: dict[int, Blob] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def size(self, name: str) -> int:
        return self.columns[2][self.index(name)]

    def read(self, name: str) -> bytes:
        index = self.index(name)
        method, crc, size = (column[index] for column in self.columns)
        packed = self.open_one(index)
        check_readable(packed.name, size)
        return b"".join(limited(_zip_pieces(packed, method, crc), packed.name, packed.size, size))

    def blob(self, name: str) -> Blob:
        index = self.index(name)
        method, crc, size = (column[index] for column in self.columns)
        packed = self.open_one(index)
        if method == STORED:
            return packed
        with self.lock:
            if index not in self.copies:
                pieces = _zip_pieces(packed, method, crc)
                self.copies[index] = self.scratch.copy(pieces, packed.name, packed.size, size)
            return self.copies[index]


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
            table.add(path, method, crc, size, packed_size, base + offset)
    names, columns = table.sorted()
    _, _, sizes, packed_sizes, offsets = columns
    refuse_bomb(blob.name, sum(packed_sizes), sum(sizes))
    _check_overlaps(blob, packed_sizes, offsets, start)

    def packed(index: int) -> Blob:
        label, offset = member_label(blob, names[index]), offsets[index]
        mark, name_size, extra_size = _LOCAL.unpack(blob.read(offset, _LOCAL.size))
        if mark != b"PK\3\4":
            raise UserError(f"{label}: cannot be read (no header where one belongs)")
        at = offset + _LOCAL.size + name_size + extra_size
        return blob.part(at, packed_sizes[index], label)

    return _Zip(source, names, packed, columns[:3], Scratch(scratch))


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
