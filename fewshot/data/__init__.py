"""Data sets: imported once into a store, from which splits are opened in milliseconds."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from tqdm import tqdm

from fewshot.data.sources import cifar, folder, glyphs, mini_imagenet, tiered_imagenet
from fewshot.data.sources.forms import recognise, stamp
from fewshot.data.sources.listed import NAMED_BY_LISTS
from fewshot.data.sources.resample import RESAMPLERS
from fewshot.data.sources.source import Asked, DataSource, Reading
from fewshot.data.splits import ClassSplit, format_split, parse_split
from fewshot.data.store import INDEX, Store, open_store, verify_store, write_store
from fewshot.data.untrusted.files import Files, open_files
from fewshot.data.variants.description import describe
from fewshot.episodes.sampling import SPLITS, Split
from fewshot.episodes.source import EpisodeSource
from fewshot.errors import UserError, unknown_name
from fewshot.files import only_writer

GLYPHS = DataSource(
    "glyphs",
    "generated letters of many scripts; needs no download",
    glyphs.IMAGE_SIZE,
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    split=glyphs.class_split,
    drawn=glyphs.read,
)
DATASETS = {
    source.name: source
    for source in (
        GLYPHS,
        cifar.CIFAR_FS,
        cifar.FC100,
        mini_imagenet.MINI_IMAGENET,
        tiered_imagenet.TIERED_IMAGENET,
    )
}
Say = Callable[[str], None]


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
    name: str,
    source: Path,
    directory: Path,
    *,
    size: int | None = None,
    split: str | None = None,
    resample: str | None = None,
    lists: Path | None = None,
    say: Say = lambda line: None,
) -> Store:
    """Read a source into the store `directory`/`name`, in place of an older one.

    size: edge in pixels, where it is not to be the data set's. resample: how images of another
    size are brought to it (a name of `RESAMPLERS`); bicubic where a size is given. lists: a folder
    or zip with the lists of the images that are meant. split: 'TRAIN/VAL/TEST' shares or a TOML
    file, for a user's own class folders, under any new name of a-z, 0-9 and '-'. `say` is told
    what the source was found to be. An interrupted import of a large source is gone on with.

    Raises UserError when the source is not what it should be.
    """
    known = DATASETS.get(name)
    if known is None and (split is None or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name)):
        raise unknown_name("data set", name, DATASETS)
    if known and known.drawn:
        raise UserError(f"{name} is drawn, not imported: run `fewshot data fetch {name}`")
    if known and split is not None:
        raise UserError(f"{name} has a split of its own: leave --split out")
    if resample is not None and resample not in RESAMPLERS:
        raise unknown_name("way to resample", resample, RESAMPLERS)
    given = known or folder.OWN
    if size is not None or known is None:
        resample = resample or "bicubic"
    with only_writer(directory / name):
        listed = open_files(lists, directory) if lists else None
        asked = Asked(size or given.image_size, resample, listed)
        return _import(name, given, open_files(source, directory), directory, asked, split, say)


def _import(
    name: str,
    given: DataSource,
    files: Files,
    directory: Path,
    asked: Asked,
    split: str | None,
    say: Say,
) -> Store:
    form, found = recognise(files, (NAMED_BY_LISTS,) if asked.lists else given.forms)
    say(f"{files.source.name}: {form.name}, {len(files.names):,} files")
    reading = form.read(files, found, asked)
    given.check(reading)
    chosen = folder.choose_split(split, reading.class_sizes) if split else reading.split
    extra = {folder.SPLIT_FILE: format_split(chosen)} if chosen else {}
    info = {"source": files.source.name, "form": form.name, **reading.info}
    return _write(name, directory, reading._replace(info=info), asked.size, extra, stamp(files))


def fetch_dataset(name: str, directory: Path, say: Say = lambda line: None) -> Store:
    """Download (or draw) a data set and import it. Raises UserError where that cannot be done."""
    known = DATASETS.get(name)
    if known is None:
        raise unknown_name("data set", name, DATASETS)
    if known.drawn:
        return _open_or_draw(known, directory)
    from fewshot.data.fetch import fetch_source

    with only_writer(directory / "downloads"):
        source = fetch_source(name, directory / ".downloads", say)
    return import_dataset(name, source, directory, say=say)


def open_source(name: str, split: Split, directory: Path, *, draw: bool = True) -> EpisodeSource:
    """Return one split of a data set, opened in milliseconds.

    draw: whether glyphs are drawn if they are not there yet.
    Raises UserError when the data set is unknown, not imported or damaged.
    """
    return _source(name, split, *_open(name, directory, draw))


def drawn_sources(per_class: int) -> dict[Split, EpisodeSource]:
    """The splits of glyphs with the first images of each class, drawn in memory in seconds."""
    reading = glyphs.read(images_per_class=per_class)
    sizes_C = np.array(list(reading.class_sizes.values()))
    store = Store(
        path=Path(),
        images_IHWC=np.concatenate(list(reading.images(0, int(sizes_C.sum())))),
        class_names=tuple(reading.class_sizes),
        class_starts=np.cumsum(sizes_C) - sizes_C,
        class_sizes=sizes_C,
        fingerprint="",
        class_hashes=(),
        class_summaries=None,
        info=reading.info,
    )
    return {part: _source(GLYPHS.name, part, store, glyphs.class_split()) for part in SPLITS}


def dataset_info(name: str, directory: Path) -> dict[str, Any]:
    """What is in a store, in plain values. Raises UserError as `open_source` does."""
    store, split = _open(name, directory)
    return {
        "name": name,
        "classes": {part: len(split.classes(part)) for part in SPLITS},
        "images": len(store.images_IHWC),
        "image_size": store.images_IHWC.shape[1],
        "fingerprint": store.fingerprint,
        "variant": describe(
            name,
            store.fingerprint,
            store.images_IHWC.shape[1],
            dict(zip(store.class_names, store.class_sizes.tolist(), strict=True)),
            store.class_hashes,
            store.class_summaries,
        ),
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


def _source(name: str, split: Split, store: Store, class_split: ClassSplit) -> EpisodeSource:
    class_names = tuple(sorted(class_split.classes(split)))
    ids = np.searchsorted(store.class_names, class_names)
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


def _open(name: str, directory: Path, draw: bool = True) -> tuple[Store, ClassSplit]:
    path = directory / name
    known = DATASETS.get(name)
    if known is None and not (path / INDEX).is_file() and draw:
        raise unknown_name("data set", name, {*DATASETS, *available(directory)})
    store = _open_or_draw(known, directory) if known and draw else open_store(path)
    own_split = path / folder.SPLIT_FILE
    if own_split.is_file():
        split = parse_split(own_split)
    elif known and known.split:
        split = known.split()
    else:
        raise UserError(f"{path}: no {own_split.name} says which classes are which")
    split.check_classes(store.class_names)
    return store, split


def _open_or_draw(known: DataSource, directory: Path) -> Store:
    path = directory / known.name
    if known.drawn and not (path / INDEX).is_file():
        with only_writer(path):
            if not (path / INDEX).is_file():  # another process may have drawn it meanwhile
                _write(known.name, directory, known.drawn(), known.image_size)
    return open_store(path)


def _write(
    name: str,
    directory: Path,
    reading: Reading,
    image_size: int,
    extra_files: Mapping[str, str] | None = None,
    stamp: str = "",
) -> Store:
    from fewshot import __version__

    info = {**reading.info, "suite_version": __version__}
    total = sum(reading.class_sizes.values())

    def progress(classes: Iterator[tuple[Any, int]]) -> Iterator[tuple[Any, int]]:
        with tqdm(None, name, total, unit=" images", disable=None) as bar:  # None: on a tty only
            for written, size in classes:
                bar.update(size)
                yield written, size

    return write_store(
        directory / name, reading._replace(info=info), image_size, extra_files, stamp, progress
    )
