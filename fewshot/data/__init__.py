"""Data sets: imported once into a store, from which splits are opened in milliseconds.

`datasets`, an argument of most functions, holds all data sets that are known by name: the value of
`catalogue.known_datasets()`, made once.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from fewshot.data.catalogue import DataSets, known_datasets
from fewshot.data.importing import fetch_dataset, import_dataset, open_or_draw
from fewshot.data.sources import glyphs
from fewshot.data.sources.forms import CLASS_FOLDERS, OWN
from fewshot.data.sources.images import read_class_folders
from fewshot.data.sources.source import Asked, DataSource, Download, Form, Reading
from fewshot.data.splits import SPLIT_FILE, ClassSplit, parse_split
from fewshot.data.store import INDEX, Store, open_store, verify_store
from fewshot.data.untrusted.files import Files
from fewshot.data.variants.description import describe, store_content
from fewshot.episodes.sampling import SPLITS, Split
from fewshot.episodes.source import EpisodeSource
from fewshot.errors import UserError, unknown_name

__all__ = [
    "CLASS_FOLDERS",
    "Asked",
    "ClassSplit",
    "DataSets",
    "DataSource",
    "Download",
    "Files",
    "Form",
    "Reading",
    "available",
    "data_dir",
    "dataset_info",
    "drawn_sources",
    "fetch_dataset",
    "import_dataset",
    "open_source",
    "open_split",
    "read_class_folders",
    "verify_dataset",
]


def data_dir(option: Path | None = None) -> Path:
    """Return the folder of the stores: the option, else $FEWSHOT_DATA, else one in user's cache."""
    if option is not None:
        return option
    if from_environment := os.environ.get("FEWSHOT_DATA"):
        return Path(from_environment)
    return Path(platformdirs.user_cache_dir("fewshot")) / "data"


def available(directory: Path) -> list[str]:
    """Return the names of the data sets that have a store in `directory`, sorted."""
    return sorted(p.parent.name for p in directory.glob(f"*/{INDEX}") if p.parent.name[0] != ".")


def open_source(
    name: str, split: Split, directory: Path, datasets: DataSets, *, draw: bool = True
) -> EpisodeSource:
    """Return one split of a data set, opened in milliseconds.

    draw: whether images that the suite makes itself are drawn if they are not there yet.
    Raises UserError when the data set is unknown, not imported or damaged.
    """
    store, class_split = _open(name, directory, datasets, draw)
    known, class_names = datasets.get(name, OWN), tuple(sorted(class_split.classes(split)))
    ids = np.searchsorted(store.class_names, class_names)
    mean, std = (tuple(store.info.get(key, getattr(known, key))) for key in ("mean", "std"))
    return EpisodeSource(
        dataset=name,
        split=split,
        images_IHWC=store.images_IHWC,
        class_names=class_names,
        class_starts=store.class_starts[ids],
        class_sizes=store.class_sizes[ids],
        mean=mean,
        std=std,
        fingerprint=store.fingerprint,
    )


def open_split(
    name: str, split: Split = "train", *, data: Path | str | None = None
) -> EpisodeSource:
    """Return one split of a data set, opened in milliseconds; glyphs are drawn when first opened.

    data: the folder of images ($FEWSHOT_DATA, or the user's cache).
    Raises UserError when the data set is unknown, not imported or damaged.
    """
    if split not in SPLITS:
        raise unknown_name("split", split, SPLITS)
    return open_source(name, split, data_dir(Path(data) if data else None), known_datasets())


def drawn_sources(per_class: int) -> dict[Split, EpisodeSource]:
    """Return the splits of glyphs with the first images of each class, drawn in memory."""
    known, names, split = glyphs.GLYPHS, list(glyphs.characters()), glyphs.class_split()
    blocks = glyphs.read(images_per_class=per_class).images(0, per_class * len(names))
    images_IHWC = np.concatenate(list(blocks))

    def drawn(part: Split) -> EpisodeSource:
        classes = split.classes(part)
        starts_C = per_class * np.searchsorted(names, classes)
        sizes_C = np.full(len(classes), per_class)
        return EpisodeSource(
            known.name, part, images_IHWC, classes, starts_C, sizes_C, known.mean, known.std, ""
        )

    return {part: drawn(part) for part in SPLITS}


def dataset_info(name: str, directory: Path, datasets: DataSets) -> dict[str, Any]:
    """Return in plain values what is in a store. Raises UserError as `open_source` does."""
    store, split = _open(name, directory, datasets)
    known = datasets.get(name, OWN)
    return {
        "name": name,
        "classes": {part: len(split.classes(part)) for part in SPLITS},
        "images": len(store.images_IHWC),
        "image_size": store.images_IHWC.shape[1],
        "fingerprint": store.fingerprint,
        "variant": describe(store_content(name, store), photographs=known.photographs),
        "bytes": sum(file.stat().st_size for file in store.path.iterdir()),
        "path": str(store.path),
        "split": split.source,
        **store.info,
    }


def verify_dataset(name: str, directory: Path, datasets: DataSets) -> Store:
    """Read every image of a store. Raises UserError naming the first damaged class."""
    store, _ = _open(name, directory, datasets)
    verify_store(store)
    return store


def _open(
    name: str, directory: Path, datasets: DataSets, draw: bool = True
) -> tuple[Store, ClassSplit]:
    path, known = directory / name, datasets.get(name)
    if known is None and not (path / INDEX).is_file() and draw:
        raise unknown_name("data set", name, {*datasets, *available(directory)})
    store = open_or_draw(name, known, directory) if known and draw else open_store(path)
    own_split = path / SPLIT_FILE
    if own_split.is_file():
        split = parse_split(own_split)
    elif known and known.split:
        split = known.split()
    else:
        raise UserError(f"{path}: no {own_split.name} says which classes are which")
    split.check_classes(store.class_names)
    return store, split
