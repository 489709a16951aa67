"""A data set on disk: all images in one memory-mapped array, in class order, beside an index.

NAME/images.npy   uint8, images_IHWC, the images of a class next to one another
NAME/index.json   class names, sizes and hashes, fingerprint, where the images came from
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from fewshot.data import workers
from fewshot.data.sources.source import Reading
from fewshot.data.variants.summaries import SMALLEST, chosen, summarise
from fewshot.errors import UserError
from fewshot.files import new_file, resumed_folder

VERSION = 1
IMAGES, INDEX, JOURNAL = "images.npy", "index.json", "journal.json"
JOURNAL_BYTES = 1 << 28
"""Between two notes of how far an import has come: losing so many costs seconds."""


@dataclass(frozen=True)
class Store:
    """A data set that is open for reading; opening it reads no image.

    images_IHWC: uint8, memory-mapped. class_names: sorted. Class c has the indices
    class_starts[c] .. + class_sizes[c] (int64). class_hashes: SHA-256 of each class's pixels.
    class_summaries: from `variants.summaries`; None in a store older than that.
    fingerprint: a short hash of class names, sizes and pixels. info: where the images came from.
    """

    path: Path
    images_IHWC: np.ndarray
    class_names: tuple[str, ...]
    class_starts: np.ndarray
    class_sizes: np.ndarray
    fingerprint: str
    class_hashes: tuple[str, ...]
    class_summaries: tuple[dict[str, Any], ...] | None
    info: dict[str, Any]


def write_store(
    path: Path,
    reading: Reading,
    image_size: int,
    extra_files: Mapping[str, str] | None = None,
    stamp: str = "",
    told: Callable[[int], object] = int,
) -> Store:
    """Write the images of a reading as a store of `image_size` x `image_size` pixels.

    The store appears whole or not at all: whatever goes wrong, an older one at `path` stays. What
    was written of a large one is kept, and gone on with when the same `stamp` (of the source) and
    the same classes come again. extra_files: texts to lay beside the images, by file name.
    told: is called with the number of images of each class that is written.

    Raises UserError when images and class sizes disagree, when the disk refuses, or when a
    folder that is no store is in the way.
    """
    if path.exists() and not (path / INDEX).is_file():
        raise UserError(f"{path}: in the way, and not a data set: move it, or use another name")
    class_sizes = reading.class_sizes
    with resumed_folder(path, JOURNAL) as folder:
        written = _write_images(folder, reading, image_size, stamp, told)
        hashes = [part.pixels for part in written]
        index = {
            "version": VERSION,
            "image_size": image_size,
            "class_names": list(class_sizes),
            "class_sizes": list(class_sizes.values()),
            "class_hashes": hashes,
            "class_summaries": [part.summary for part in written],
            "fingerprint": _fingerprint(image_size, class_sizes, hashes),
            "info": {**reading.info, "written": datetime.now(UTC).isoformat(timespec="seconds")},
        }
        index_text = json.dumps(index, indent=1, ensure_ascii=False)
        for name, text in {**(extra_files or {}), INDEX: index_text}.items():
            _write_text(folder / name, text)
    return open_store(path)


def open_store(path: Path) -> Store:
    """Open a store in milliseconds. Raises UserError when there is none, or not a sound one."""
    if not (path / INDEX).is_file():
        hint = f"run `fewshot data import {path.name} SOURCE`"
        raise UserError(f"no data set '{path.name}' in {path.parent}: {hint}")
    try:
        index = json.loads((path / INDEX).read_bytes())
        if index["version"] != VERSION:
            found = index["version"]
            raise UserError(f"{path}: of version {found}, not {VERSION}; import it again")
        # Copy-on-write rather than read-only: torch takes no read-only arrays. Nothing is written.
        images_IHWC = np.load(path / IMAGES, mmap_mode="c")
        names, sizes, hashes = (index[f"class_{key}"] for key in ("names", "sizes", "hashes"))
        size = index["image_size"]
        sound = (
            images_IHWC.dtype == np.uint8
            and images_IHWC.shape == (sum(sizes), size, size, 3)
            and _fingerprint(size, dict(zip(names, sizes, strict=True)), hashes)
            == index["fingerprint"]
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: damaged ({error}); import it again") from error
    if not sound:
        raise UserError(f"{path}: damaged ({IMAGES} does not fit {INDEX}); import it again")
    sizes_C = np.array(sizes, np.int64)
    return Store(
        path=path,
        images_IHWC=images_IHWC,
        class_names=tuple(names),
        class_starts=np.cumsum(sizes_C) - sizes_C,
        class_sizes=sizes_C,
        fingerprint=index["fingerprint"],
        class_hashes=tuple(hashes),
        class_summaries=tuple(index["class_summaries"]) if "class_summaries" in index else None,
        info=index["info"],
    )


def verify_store(store: Store) -> None:
    """Read every image; raises UserError naming the first class whose pixels have changed."""
    parts_CIHWC = np.split(store.images_IHWC, store.class_starts[1:])
    classes = zip(store.class_names, parts_CIHWC, store.class_hashes, strict=True)
    for name, images_IHWC, expected in classes:
        if sha256(images_IHWC.tobytes()).hexdigest() != expected:
            raise UserError(f"{store.path}: class '{name}' is damaged; import it again")


class _Written(NamedTuple):
    """A class that is on disk: the SHA-256 of its pixels, and its summary for `variants`."""

    pixels: str
    summary: dict[str, Any]


def _write_images(
    folder: Path, reading: Reading, image_size: int, stamp: str, told: Callable[[int], object]
) -> list[_Written]:
    """Write the array in the .npy format, several classes at once, each in its place.

    Every `JOURNAL_BYTES` what is on disk is noted down, for a next try to go on from there.
    """
    sizes, shape = reading.class_sizes, (image_size, image_size, 3)
    if list(sizes) != sorted(sizes):
        raise ValueError("class_sizes must be sorted by class name")
    key = sha256(json.dumps([stamp, image_size, sizes, reading.info]).encode()).hexdigest()
    header = BytesIO()
    array = {"descr": "|u1", "fortran_order": False, "shape": (sum(sizes.values()), *shape)}
    np.lib.format.write_array_header_1_0(header, array)
    whole = header.tell() + sum(sizes.values()) * prod(shape)
    done = _read_journal(folder, key, whole)
    with (folder / IMAGES).open("r+b" if done else "wb") as file:
        file.write(header.getvalue())
        file.truncate(whole)
        file.flush()
        write = partial(_write_class, folder / IMAGES, header.tell(), reading, shape)
        todo, since = list(sizes.values())[len(done) :], 0
        with workers.in_order(write, range(len(done), len(sizes))) as written:
            for part, size in zip(written, todo, strict=True):
                done.append(part)
                told(size)
                since += size * prod(shape)
                if since >= JOURNAL_BYTES:
                    with new_file(folder / JOURNAL) as journal:
                        _write_text(journal, json.dumps({"key": key, "written": done}))
                    since = 0
        _sync(file)
    return done


def _write_class(
    path: Path, header: int, reading: Reading, shape: tuple[int, int, int], number: int
) -> _Written:
    """Write the images of one class where they belong. To plain writes a full disk is an error."""
    name, sizes = list(reading.class_sizes)[number], list(reading.class_sizes.values())
    start, size = sum(sizes[:number]), sizes[number]
    digest, count = sha256(), 0
    summarised, sample = chosen(size), list[np.ndarray]()
    with path.open("r+b") as file:
        file.seek(header + start * prod(shape))
        for images_IHWC in reading.images(start, start + size):
            if images_IHWC.shape[1:] != shape or images_IHWC.dtype != np.uint8:
                found = f"{images_IHWC.shape[1:]} {images_IHWC.dtype}"
                raise UserError(f"class '{name}': an image of {found}, not {shape} uint8")
            pixels = np.ascontiguousarray(images_IHWC).data
            digest.update(pixels)
            file.write(pixels)
            here = summarised[(summarised >= count) & (summarised < count + len(images_IHWC))]
            sample.append(images_IHWC[here - count])
            count += len(images_IHWC)
        file.flush()
        if hasattr(os, "posix_fadvise"):
            # Nobody reads it again soon. Left in the system's cache, gigabytes of it push other
            # things out, and on virtual machines each new page costs half of its decoding.
            os.fdatasync(file.fileno())
            place = header + start * prod(shape), size * prod(shape)
            os.posix_fadvise(file.fileno(), *place, os.POSIX_FADV_DONTNEED)
    if count != size:
        raise UserError(f"class '{name}': {count} images where {size} were announced")
    summary = summarise(np.concatenate(sample)) if min(shape[:2]) >= SMALLEST else {}
    return _Written(digest.hexdigest(), summary)


def _read_journal(folder: Path, key: str, whole: int) -> list[_Written]:
    """Return the classes that an interrupted import of the same source has written.

    whole: bytes that the file of images must have, which it may have lost in a power cut.
    """
    path = folder / JOURNAL
    try:
        journal = json.loads(path.read_bytes())
        if journal["key"] == key and (folder / IMAGES).stat().st_size == whole:
            return [_Written(*part) for part in journal["written"]]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    path.unlink(missing_ok=True)
    return []


def _fingerprint(image_size: int, class_sizes: Mapping[str, int], hashes: list[str]) -> str:
    content = [image_size, list(class_sizes), list(class_sizes.values()), hashes]
    return sha256(json.dumps(content).encode()).hexdigest()[:16]


def _write_text(path: Path, text: str) -> None:
    with path.open("wb") as file:
        file.write(text.encode())
        _sync(file)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
