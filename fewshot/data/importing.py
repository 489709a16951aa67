"""Brings a data set into its store: imports, downloads and drawings."""

from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from fewshot import __version__
from fewshot.data.catalogue import NAME, DataSets
from fewshot.data.sources.forms import OWN, recognise, stamp
from fewshot.data.sources.images import RESAMPLERS
from fewshot.data.sources.listed import NAMED_BY_LISTS
from fewshot.data.sources.source import Asked, DataSource, Reading
from fewshot.data.splits import SPLIT_FILE, choose_split, format_split
from fewshot.data.store import INDEX, Store, open_store, write_store
from fewshot.data.untrusted.files import open_files
from fewshot.errors import UserError, unknown_name
from fewshot.files import only_writer

Say = Callable[[str], None]


def import_dataset(
    name: str,
    source: Path,
    directory: Path,
    datasets: DataSets,
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
    file, for data sets without a split and for a user's own class folders, under any new name of
    a-z, 0-9 and '-'. `say` is told what the source was found to be. An interrupted import of a
    large source is gone on with.

    Raises UserError when the source is not what it should be.
    """
    known = datasets.get(name)
    if known is None and (split is None or not NAME.fullmatch(name)):
        raise unknown_name("data set", name, datasets)
    if known and known.drawn:
        raise UserError(f"{name} is drawn, not imported: run `fewshot data fetch {name}`")
    if known and known.split and split is not None:
        raise UserError(f"{name} has a split of its own: leave --split out")
    if resample is not None and resample not in RESAMPLERS:
        raise unknown_name("way to resample", resample, RESAMPLERS)
    given = known or OWN
    if size is not None or known is None:
        resample = resample or "bicubic"
    with only_writer(directory / name):
        listed = open_files(lists, directory) if lists else None
        asked = Asked(size or given.image_size, resample, listed)
        files = open_files(source, directory)
        form, found = recognise(files, (NAMED_BY_LISTS,) if lists else given.forms)
        say(f"{files.source.name}: {form.name}, {len(files.names):,} files")
        reading = form.read(files, found, asked)
        given.check(reading)
        info = {"source": files.source.name, "form": form.name, **reading.info}
        chosen = choose_split(split, reading.class_sizes) if split else reading.split
        reading = reading._replace(info=info, split=chosen)
        return _write(name, given, reading, directory, asked.size, stamp(files))


def fetch_dataset(
    name: str, directory: Path, datasets: DataSets, say: Say = lambda line: None
) -> Store:
    """Download (or draw) a data set and import it. Raises UserError where that cannot be done."""
    known = datasets.get(name)
    if known is None:
        raise unknown_name("data set", name, datasets)
    if known.drawn:
        return open_or_draw(name, known, directory)
    if known.downloads is None:
        raise UserError(f"{name} cannot be downloaded: run `fewshot data import {name} SOURCE`")
    from fewshot.data.fetch import fetch_source  # pooch and requests are slow to import

    with only_writer(directory / "downloads"):
        source = fetch_source(name, known.downloads(), directory / ".downloads", say)
    return import_dataset(name, source, directory, datasets, say=say)


def open_or_draw(name: str, known: DataSource, directory: Path) -> Store:
    """Return an open store, drawn first where the suite draws it and it is not there yet."""
    path = directory / name
    if known.drawn and not (path / INDEX).is_file():
        with only_writer(path):
            if not (path / INDEX).is_file():  # another process may have drawn it meanwhile
                _write(name, known, known.drawn(), directory, known.image_size)
    return open_store(path)


def _write(
    name: str, known: DataSource, reading: Reading, directory: Path, size: int, stamp: str = ""
) -> Store:
    """Write a store, beside its images all that no later command would know."""
    info, split = {**reading.info, "suite_version": __version__}, reading.split
    if not known.in_suite:
        info |= {"mean": known.mean, "std": known.std}
        split = split or (known.split() if known.split else None)
        if split is None:
            raise UserError(f"{name}: --split TRAIN/VAL/TEST says which classes are which")
        split.check_classes(reading.class_sizes)

    texts, total = {}, sum(reading.class_sizes.values())
    if split:
        texts[SPLIT_FILE] = format_split(split)
    with tqdm(None, name, total, unit=" images", disable=None) as bar:  # None: on a terminal only
        return write_store(
            directory / name, reading._replace(info=info), size, texts, stamp, bar.update
        )
