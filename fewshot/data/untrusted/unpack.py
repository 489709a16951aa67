"""Unpacks to a file on disk, once; never more than is sensible."""

import bz2
import lzma
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any

from fewshot.data.untrusted.blobs import Blob, File
from fewshot.errors import UserError

CHUNK = 1 << 20
_INPUT = 1 << 14  # what is unpacked at a time, and may be copied for each tiny stream in it
FREE_SIZE, MAX_RATIO = 100 << 20, 200
"""A bomb unpacks to more bytes than FREE_SIZE, and than MAX_RATIO times its own."""
MAX_SIZE = 1 << 40
XZ_MEMORY = 256 << 20  # its presets need up to 65 MB; a file may ask for 4 GB
DISK_RESERVE = 64 << 20


class Scratch:
    """One temporary file, without a name and gone with its last Blob, for what is unpacked.

    directory: an existing one or one to make; None: the system's for temporary files.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = Path(tempfile.gettempdir()) if directory is None else directory
        self._file: File | None = None
        self._end = 0
        self._room = 0  # bytes that may be written before the free space is looked at again
        self._lock = Lock()

    def copy(
        self, pieces: Iterable[bytes], name: str, packed: int, declared: int | None = None
    ) -> Blob:
        """Write down the pieces that `packed` bytes unpack to, `declared` bytes if that is known.

        Raises UserError when it is a bomb or not as large as declared, or the disk refuses.
        """
        with self._lock:
            end = self._end
            try:
                file = self._open()
                for piece in limited(pieces, name, packed, declared):
                    self._make_room(len(piece), name)
                    file.write(end, piece)
                    end += len(piece)
            except OSError as error:
                why = f"cannot be unpacked into {self._directory} ({error.strerror})"
                raise UserError(f"{name}: {why}") from error
            start, self._end = self._end, end
            return Blob(file, start, end - start, name)

    def _open(self) -> File:
        if self._file is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._directory) as handle:
                self._file = File(handle)
        return self._file

    def _make_room(self, size: int, name: str) -> None:
        if self._room < size:
            free = shutil.disk_usage(self._directory).free - DISK_RESERVE
            if free < size:
                raise UserError(f"{name}: no room to unpack it in {self._directory}")
            self._room = max(size, min(free, DISK_RESERVE))
        self._room -= size


def limited(
    pieces: Iterable[bytes], name: str, packed: int, declared: int | None = None
) -> Iterator[bytes]:
    """Pass on the pieces that `packed` bytes unpack to; stop as soon as they are too many.

    Raises UserError when they are a bomb, or not the `declared` bytes.
    """
    if declared is not None:
        refuse_bomb(name, packed, declared)
    size = 0
    for piece in pieces:
        size += len(piece)
        if declared is not None and size > declared:
            raise UserError(f"{name}: damaged (unpacks to more than the {declared} bytes it says)")
        refuse_bomb(name, packed, size)
        yield piece
    if declared is not None and size < declared:
        raise UserError(f"{name}: damaged (unpacks to {size} bytes, not the {declared} it says)")


def refuse_bomb(name: str, packed: int, size: int) -> None:
    """Raise UserError when no honest data of `packed` bytes unpack to `size` bytes."""
    if size > MAX_SIZE or (size > FREE_SIZE and size > MAX_RATIO * packed):
        raise UserError(f"{name}: refused, since its {packed} bytes unpack to {size} or more")


class _Inflate:
    """Zlib's decompressor in the manner of the others: it keeps the input it has not used."""

    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.decompressobj(window_bits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = not self._inner.unconsumed_tail and len(piece) < max_length
        return piece


DECODERS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: _Inflate(31),
    "deflate": lambda: _Inflate(-15),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY),
}


def unpacked(blob: Blob, method: str) -> Iterator[bytes]:
    """Unpack a compressed Blob in pieces of at most CHUNK bytes; to be `limited`.

    Streams may follow one another, with zeros after them, as gzip and tar write them.
    Raises UserError when it is damaged or truncated.
    """
    decoder: Any = None  # of which all have eof, needs_input, unused_data and decompress
    data, at = b"", 0
    try:
        while True:
            if not data and (decoder is None or decoder.needs_input):
                data = blob.read(at, min(_INPUT, blob.size - at))
                at += len(data)
                if not data:
                    break
            if decoder is None:
                data = data if method == "deflate" else data.lstrip(b"\0")
                decoder = DECODERS[method]() if data else None
                continue
            piece = decoder.decompress(data, CHUNK)
            data = b""
            if piece:
                yield piece
            if decoder.eof:
                data, decoder = decoder.unused_data, None
    except (zlib.error, lzma.LZMAError, OSError, EOFError, MemoryError) as error:
        raise UserError(f"{blob.name}: damaged ({error})") from error
    if decoder is not None:
        raise UserError(f"{blob.name}: truncated")
