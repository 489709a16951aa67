"""Data sets: imported once into a store, from which splits are opened in milliseconds."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs
from tqdm import tqdm

from fewshot.atomic import only_writer
from fewshot.data import cifar, folder, glyphs, mini_imagenet
from fewshot.data.source import DataSource, Reading
from fewshot.data.splits import ClassSplit, format_split, parse_split
from fewshot.data.store import INDEX, Store, open_store, verify_store, write_store
from fewshot.errors import UserError, unknown_name
from fewshot.sampling import SPLITS, Split

if TYPE_CHECKING:
    from fewshot.protocols import EpisodeSource

GLYPHS = DataSource(
    "glyphs",
    "generated letters of many scripts; needs no download",
    glyphs.IMAGE_SIZE,
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    read=lambda _: glyphs.read(),
    split=glyphs.class_split,
    drawn=True,
)
DATASETS = {
    source.name: source
    for source in (GLYPHS, cifar.CIFAR_FS, cifar.FC100, mini_imagenet.MINI_IMAGENET)
}


def data_dir(option: Path | None = None) -> Path:
    """Where the stores are: the option, else $FEWSHOT_DATA, else the user's cache folder."""
    if option is not None:
        return option
    if from_environment := os.environ.get("FEWSHOT_DATA"):
        return Path(from_environment)
    return Path(platformdirs.user_cache_dir("fewshot")) / "data"


def available(directory: Path) -> list[str]:
    """Names of the data sets that have a store in `directory`, sorted."""
    return sorted(p.parent.name for p in directory.glob(f"*/{INDEX}") if p.parent.name[0] != ".")


def import_dataset(
    name: str, source: Path, directory: Path, *, size: int | None = None, split: str | None = None
) -> Store:
    """Read a source into the store `directory`/`name`, in place of an older one.

    size (pixels) and split ('64/16/20' or a TOML file) are for a user's own class folders, under
    any new name of a-z, 0-9 and '-'. Raises UserError when the source is not what it should be.
    """
    known = DATASETS.get(name)
    if known is None:
        return _import_folder(name, source, directory, size, split)
    if known.drawn:
        raise UserError(f"{name} is drawn, not imported: run `fewshot data fetch {name}`")
    if size is not None or split is not None:
        raise UserError(f"{name} has a size and a split of its own: leave --size and --split out")
    with only_writer(directory / name):
        return _write(name, directory, known.read(source), known.image_size)


def fetch_dataset(name: str, directory: Path) -> Store:
    """Download (or draw) a data set and import it. Raises UserError where that cannot be done."""
    known = DATASETS.get(name)
    if known is None:
        raise unknown_name("data set", name, DATASETS)
    if known.drawn:
        return _open_or_draw(known, directory)
    if known.fetch is None:
        raise UserError(f"{name} has no download: get it, then `fewshot data import {name} SOURCE`")
    with only_writer(directory / "downloads"):
        source = known.fetch(directory / ".downloads")
    return import_dataset(name, source, directory)


def open_source(name: str, split: Split, directory: Path) -> "EpisodeSource":
    """One split of a data set, in milliseconds; glyphs are drawn if they are not there yet.

    Raises UserError when the data set is unknown, not imported or damaged.
    """
    return _source(name, split, *_open(name, directory))


def drawn_sources(per_class: int) -> "dict[Split, EpisodeSource]":
    """The splits of glyphs with the first images of each class, drawn in memory in seconds."""
    reading = glyphs.read(images_per_class=per_class)
    sizes_C = np.array(list(reading.class_sizes.values()))
    store = Store(
        path=Path(),
        images_IHWC=np.stack(list(reading.images)),
        class_names=tuple(reading.class_sizes),
        class_starts=np.cumsum(sizes_C) - sizes_C,
        class_sizes=sizes_C,
        fingerprint="",
        class_hashes=(),
        info=reading.info,
    )
    return {part: _source(GLYPHS.name, part, store, GLYPHS.split()) for part in SPLITS}


def dataset_info(name: str, directory: Path) -> dict[str, Any]:
    """What is in a store, in plain values. Raises UserError as `open_source` does."""
    store, split = _open(name, directory)
    return {
        "name": name,
        "classes": {part: len(split.classes(part)) for part in SPLITS},
        "images": len(store.images_IHWC),
        "image_size": store.images_IHWC.shape[1],
        "fingerprint": store.fingerprint,
        "bytes": sum(file.stat().st_size for file in store.path.iterdir()),
        "path": str(store.path),
        "split": split.source,
        **store.info,
    }


def verify_dataset(name: str, directory: Path) -> Store:
    """Read every image of a store. Raises UserError naming the first damaged class."""
    store, _ = _open(name, directory)
    verify_store(store)
    return store


def _source(name: str, split: Split, store: Store, class_split: ClassSplit) -> "EpisodeSource":
    from fewshot.protocols import EpisodeSource  # imports torch

    rows = {class_name: row for row, class_name in enumerate(store.class_names)}
    class_names = tuple(sorted(class_split.classes(split)))
    ids = np.array([rows[class_name] for class_name in class_names])
    known = DATASETS.get(name)
    return EpisodeSource(
        dataset=name,
        split=split,
        images_IHWC=store.images_IHWC,
        class_names=class_names,
        class_starts=store.class_starts[ids],
        class_sizes=store.class_sizes[ids],
        mean=known.mean if known else folder.MEAN,
        std=known.std if known else folder.STD,
        fingerprint=store.fingerprint,
    )


def _open(name: str, directory: Path) -> tuple[Store, ClassSplit]:
    known = DATASETS.get(name)
    path = directory / name
    if known is None and not (path / folder.SPLIT_FILE).is_file():
        raise unknown_name("data set", name, {*DATASETS, *available(directory)})
    store = _open_or_draw(known, directory) if known and known.drawn else open_store(path)
    split = known.split() if known else parse_split(path / folder.SPLIT_FILE)
    split.check_classes(store.class_names)
    return store, split


def _open_or_draw(known: DataSource, directory: Path) -> Store:
    path = directory / known.name
    if not (path / INDEX).is_file():
        with only_writer(path):
            if not (path / INDEX).is_file():  # another process may have drawn it meanwhile
                _write(known.name, directory, known.read(path), known.image_size)
    return open_store(path)


def _import_folder(
    name: str, source: Path, directory: Path, size: int | None, split: str | None
) -> Store:
    if split is None or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise unknown_name("data set", name, DATASETS)
    size = folder.IMAGE_SIZE if size is None else size
    with only_writer(directory / name):
        reading = folder.read(source, size)
        chosen = folder.choose_split(split, reading.class_sizes)
        return _write(name, directory, reading, size, {folder.SPLIT_FILE: format_split(chosen)})


def _write(
    name: str,
    directory: Path,
    reading: Reading,
    image_size: int,
    extra_files: dict[str, str] | None = None,
) -> Store:
    from fewshot import __version__

    total = sum(reading.class_sizes.values())
    images = tqdm(reading.images, name, total, unit=" images", disable=None)  # None: on a tty only
    info = {**reading.info, "suite_version": __version__}
    return write_store(directory / name, reading.class_sizes, images, image_size, info, extra_files)
