"""A data set on disk: all images in one memory-mapped array, in class order, beside an index.

NAME/images.npy   uint8, images_IHWC, the images of a class next to one another
NAME/index.json   class names, sizes and hashes, fingerprint, where the images came from
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fewshot.atomic import new_folder
from fewshot.errors import UserError

VERSION = 1
IMAGES, INDEX = "images.npy", "index.json"


@dataclass(frozen=True)
class Store:
    """A data set that is open for reading; opening it reads no image.

    images_IHWC: uint8, memory-mapped. class_names: sorted. Class c has the rows
    class_starts[c] .. + class_sizes[c] (int64). class_hashes: SHA-256 of each class's pixels.
    fingerprint: a short hash of class names, sizes and pixels. info: where the images came from.
    """

    path: Path
    images_IHWC: np.ndarray
    class_names: tuple[str, ...]
    class_starts: np.ndarray
    class_sizes: np.ndarray
    fingerprint: str
    class_hashes: tuple[str, ...]
    info: dict[str, Any]


def write_store(
    path: Path,
    class_sizes: Mapping[str, int],
    images: Iterable[np.ndarray],
    image_size: int,
    info: Mapping[str, Any],
    extra_files: Mapping[str, str] | None = None,
) -> Store:
    """Write images_HWC (uint8, in the order of `class_sizes`, which is sorted) as a store.

    The store appears whole or not at all: whatever goes wrong, an older one at `path` stays.
    extra_files: texts to lay beside the images, by file name.

    Raises UserError when images and class sizes disagree, when the disk refuses, or when a
    folder that is no store is in the way.
    """
    if path.exists() and not (path / INDEX).is_file():
        raise UserError(f"{path}: in the way, and not a data set: move it, or use another name")
    with new_folder(path) as folder:
        with (folder / IMAGES).open("wb") as file:
            hashes = _write_images(file, class_sizes, iter(images), image_size)
            _sync(file)
        index = {
            "version": VERSION,
            "image_size": image_size,
            "class_names": list(class_sizes),
            "class_sizes": list(class_sizes.values()),
            "class_hashes": hashes,
            "fingerprint": _fingerprint(image_size, class_sizes, hashes),
            "info": {**info, "written": datetime.now(UTC).isoformat(timespec="seconds")},
        }
        index_text = json.dumps(index, indent=1, ensure_ascii=False)
        for name, text in {**(extra_files or {}), INDEX: index_text}.items():
            with (folder / name).open("wb") as file:
                file.write(text.encode())
                _sync(file)
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
        info=index["info"],
    )


def verify_store(store: Store) -> None:
    """Read every image; raises UserError naming the first class whose pixels have changed."""
    parts_CIHWC = np.split(store.images_IHWC, store.class_starts[1:])
    rows = zip(store.class_names, parts_CIHWC, store.class_hashes, strict=True)
    for name, images_IHWC, expected in rows:
        if sha256(images_IHWC.tobytes()).hexdigest() != expected:
            raise UserError(f"{store.path}: class '{name}' is damaged; import it again")


def _write_images(
    file: BinaryIO, class_sizes: Mapping[str, int], images: Iterator[np.ndarray], image_size: int
) -> list[str]:
    """Stream the array in the .npy format, with plain writes: to these a full disk is an error."""
    if list(class_sizes) != sorted(class_sizes):
        raise ValueError("class_sizes must be sorted by class name")
    shape = (image_size, image_size, 3)
    header = {"descr": "|u1", "fortran_order": False, "shape": (sum(class_sizes.values()), *shape)}
    np.lib.format.write_array_header_1_0(file, header)
    hashes = []
    for name, size in class_sizes.items():
        digest, count = sha256(), 0
        for image_HWC in islice(images, size):
            if image_HWC.shape != shape or image_HWC.dtype != np.uint8:
                found = f"{image_HWC.shape} {image_HWC.dtype}"
                raise UserError(f"class '{name}': an image of {found}, not {shape} uint8")
            pixels = image_HWC.tobytes()
            digest.update(pixels)
            file.write(pixels)
            count += 1
        if count != size:
            raise UserError(f"class '{name}': {count} images where {size} were announced")
        hashes.append(digest.hexdigest())
    if next(images, None) is not None:
        raise UserError(f"more than the {sum(class_sizes.values())} images that were announced")
    return hashes


def _fingerprint(image_size: int, class_sizes: Mapping[str, int], hashes: list[str]) -> str:
    content = [image_size, list(class_sizes), list(class_sizes.values()), hashes]
    return sha256(json.dumps(content).encode()).hexdigest()[:16]


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
