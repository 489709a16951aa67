"""The members of a tar, read where they lie."""

import zlib
from collections.abc import Iterator
from pathlib import Path

from fewshot.data.untrusted.blobs import Blob, Cursor
from fewshot.data.untrusted.members import Files, Table, member_label, safe_path, told
from fewshot.data.workers import in_order
from fewshot.errors import UserError

BLOCK = 512
END = bytes(BLOCK)
MAX_EXTENDED = 1 << 16


def open_tar(blob: Blob, source: Path) -> Files:
    """Return the files of a tar, and of the tars in it. Raises UserError as `open_files` does."""
    table = Table(source, 2)
    inner = []
    for name, start, size in tar_members(blob):
        if is_inner_tar(name):
            inner.append((name, start, size))
        else:
            table.add(name, start, size)

    def members_of(number: int) -> list[tuple[str, int, int]]:
        name, start, size = inner[number]
        return list(tar_members(blob.part(start, size, member_label(blob, name))))

    with in_order(members_of, range(len(inner))) as listed:
        for (name, start, _), members in zip(inner, listed, strict=True):
            for member, inner_start, inner_size in members:
                table.add(f"{stem(name)}/{member}", start + inner_start, inner_size)
    names, (starts, sizes) = table.sorted()

    def part(index: int) -> Blob:
        return blob.part(starts[index], sizes[index], member_label(blob, names[index]))

    return Files(source, names, part)


def is_inner_tar(name: str) -> bool:
    """Return whether this is a tar to look into, and not a file that macOS leaves beside one."""
    return name.endswith(".tar") and not name.rpartition("/")[2].startswith(".")


def stem(tar_name: str) -> str:
    """Return the folder as which a tar is seen."""
    return tar_name.removesuffix(".tar")


def tar_members(blob: Blob) -> Iterator[tuple[str, int, int]]:
    """Give path, start and size of each file of a tar, from its headers alone."""
    cursor = Cursor(blob)
    extended: dict[bytes, bytes] = {}
    with told(blob.name, "tar"):
        while (header := cursor.take(BLOCK)) != END:
            if not is_tar_header(header):
                raise ValueError(f"no header at byte {cursor.position - BLOCK}")
            kind = header[156:157]
            if kind in b"xLgKV":
                extended |= _extended_header(cursor, kind, _number(header[124:136]))
                continue
            name = _decode(extended.get(b"path", _name(header)))
            size = int(extended.get(b"size", b"-1"))
            path = safe_path(name, blob)
            if kind not in b"0\x0075":
                raise UserError(f"{member_label(blob, name)}: a link or a device, not a file")
            if kind != b"5" and not name.endswith("/"):
                size = _number(header[124:136]) if size < 0 else size
                yield path, _skip_blocks(cursor, size), size
            extended = {}


def is_tar_header(header: bytes) -> bool:
    """Return whether its checksum fits, in which the field of the sum counts as spaces."""
    if len(header) != BLOCK:
        return False
    try:
        expected = _number(header[148:156])
    except ValueError:
        return False
    # The low half of an Adler checksum is 1 + the sum of all bytes, modulo 65,521: faster than
    # `sum`, of which a million headers would take a third of the time to list a tar.
    low = zlib.adler32(header[:148] + b" " * 8 + header[156:]) & 0xFFFF
    return low == (1 + expected) % 65521


def _number(text: bytes) -> int:
    """Read an octal number, or a large one in binary after a byte of 0x80."""
    if text[0] == 0x80:
        return int.from_bytes(text[1:], "big")
    digits = text.partition(b"\0")[0].strip()
    if digits and not digits.isdigit():
        raise ValueError(f"{digits!r} where a number belongs")
    return int(digits or b"0", 8)


def _name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0]
    return prefix + b"/" + name if prefix and header[257:263] == b"ustar\0" else name


def _decode(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("latin-1")


def _extended_header(cursor: Cursor, kind: bytes, size: int) -> dict[bytes, bytes]:
    """Read the path and the size of the next member, as far as the header tells them."""
    if kind not in b"xL":  # of all members, of a link, a label of the archive
        _skip_blocks(cursor, size)
        return {}
    if size > MAX_EXTENDED:
        raise ValueError(f"an extended header of {size} bytes")
    data = cursor.take(size + -size % BLOCK)[:size]
    if kind == b"L":
        return {b"path": data.partition(b"\0")[0]}
    records = dict(_pax_records(data))
    if any(key.startswith(b"GNU.sparse") for key in records):
        raise ValueError("a sparse file")
    if not records.get(b"size", b"0").isdigit():
        raise ValueError("a size that is no number")
    return {key: records[key] for key in (b"path", b"size") if key in records}


def _pax_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Read records 'LENGTH KEY=VALUE', each of LENGTH bytes with the newline that ends it."""
    at = 0
    while at < len(data):
        length = data[at : at + 10].partition(b" ")[0]
        end = at + (int(length) if length.isdigit() else 0)
        key, equals, value = data[at + len(length) + 1 : end - 1].partition(b"=")
        if not at < end <= len(data) or not equals:
            raise ValueError("a damaged extended header")
        yield key, value
        at = end


def _skip_blocks(cursor: Cursor, size: int) -> int:
    return cursor.skip(size + -size % BLOCK)
