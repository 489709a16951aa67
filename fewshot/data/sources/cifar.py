"""CIFAR-100, train and test merged, in every form that CIFAR-FS and FC100 are held in.

All forms hold the same 60,000 images. Whatever the form, they come in one order: by class, then by
original file name. Where a form has no file names, the pixels tell which image is which.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from fewshot.data import workers
from fewshot.data.sources.cifar_order import PER_CLASS, SHAPE, Cifar100Order
from fewshot.data.sources.forms import CLASS_FOLDERS, SplitFiles, split_files
from fewshot.data.sources.images import find_classes, fit, read_class_folders
from fewshot.data.sources.labelled import as_labels, load_table, name_labels, reading
from fewshot.data.sources.source import Asked, DataSource, Form, Reading, load_downloads, one_by_one
from fewshot.data.splits import check_class_sizes, load_split
from fewshot.data.untrusted.arrays import Array, open_npz
from fewshot.data.untrusted.blobs import Blob
from fewshot.data.untrusted.files import Files
from fewshot.data.untrusted.pickles import text
from fewshot.episodes.sampling import SPLITS, Split
from fewshot.errors import UserError

IMAGE_SIZE = 32
PIXELS = 3 * IMAGE_SIZE**2
DECODED_TOGETHER = 1000  # images, by one worker
BATCHES = ("train", "test")  # of the official archives
FOLDS = ("cifar-fs", "fc100")  # whose classes a file of a split may hold


@cache
def class_names() -> tuple[str, ...]:
    """Return the 100 classes in the order of their fine labels, which is that of the alphabet."""
    split = load_split("cifar-fs")
    return tuple(sorted((*split.train, *split.val, *split.test)))


def check(images: Reading, per_class: int = PER_CLASS) -> None:
    """Raise UserError unless there are the 100 classes with `per_class` images each."""
    expected = replace(load_split("cifar-fs"), source="CIFAR-100")
    check_class_sizes(images.class_sizes, expected, per_class)


def ordered(
    images_IHWC: np.ndarray,
    class_of: list[str],
    asked: Asked,
    how: str,
    stems: list[str] | None = None,
) -> Reading:
    """Put the images in order, by class and original file name, known by name or by pixels.

    class_of, stems: the class of each image, and the name of its file, where there are names.
    """
    classes, labels_I = np.array(class_of), np.unique(class_of, return_inverse=True)[1]
    indices_I = Cifar100Order.load().identify(images_IHWC, labels_I)
    if indices_I is not None:
        order = np.argsort(indices_I)
        classes = np.array(class_names())[indices_I // PER_CLASS]
    elif stems is not None:
        order = np.lexsort((np.array(stems), classes))
    else:
        order = np.argsort(classes, kind="stable")

    def image(index: int) -> np.ndarray:
        number = order[index]
        return fit(images_IHWC[number], asked.size, asked.resample, f"image {number}")

    sizes = dict(sorted(Counter(classes.tolist()).items()))
    return Reading(sizes, one_by_one(image), {"how": how})


# -- class folders, among them those of the zip of Bertinetto et al.


def _read_folders(files: Files, names: Sequence[str], asked: Asked) -> Reading:
    classes = find_classes(names)
    decoded = read_class_folders(files, replace(asked, size=IMAGE_SIZE, resample=None), classes)
    labels = [name for name, members in classes.items() for _ in members]
    stems = [PurePosixPath(member).stem for members in classes.values() for member in members]

    def block(first: int) -> np.ndarray:
        stop = min(first + DECODED_TOGETHER, len(labels))
        return np.concatenate(list(decoded.images(first, stop)))

    with workers.in_order(block, range(0, len(labels), DECODED_TOGETHER)) as blocks:
        images_IHWC = np.concatenate(list(blocks))
    return ordered(images_IHWC, labels, asked, decoded.info["how"], stems)


# -- the official archives


def _find_batches(index: str, batches: tuple[str, str], names: Sequence[str]) -> str | None:
    """Return the folder of an official archive's batches, with a '/' at its end if there is one."""
    for name in names:
        folder, _, file = name.rpartition("/")
        if file == index:
            prefix = f"{folder}/" if folder else ""
            for batch in batches:
                if prefix + batch not in names:
                    raise UserError(f"beside {name}: no file '{batch}'")
            return prefix
    return None


def _read_python(files: Files, prefix: str, asked: Asked) -> Reading:
    """Merge the archive's train and test batches."""
    meta, *batches = (load_table(files.blob(prefix + name)) for name in ("meta", *BATCHES))
    with reading("not the CIFAR-100 Python archive", files.source.name):
        names = [text(name) for name in meta["fine_label_names"]]
        pixels = np.concatenate([_planes(batch["data"]) for batch in batches])
        classes = [names[label] for batch in batches for label in batch["fine_labels"]]
        stems = [PurePosixPath(text(file)).stem for batch in batches for file in batch["filenames"]]
        _same_length(pixels, classes, stems)
    how = "official Python archive, train and test merged"
    return ordered(pixels, classes, asked, how, stems)


def _read_binary(files: Files, prefix: str, asked: Asked) -> Reading:
    """Read records of a coarse label, a fine label and the pixels, a byte each."""
    names = files.read(f"{prefix}fine_label_names.txt").decode("ascii", "replace").split()
    records = []
    for batch in BATCHES:
        data = np.frombuffer(files.read(f"{prefix}{batch}.bin"), np.uint8)
        if not len(data) or len(data) % (2 + PIXELS):
            raise UserError(f"{prefix}{batch}.bin: {len(data)} bytes are no rows of 2 + {PIXELS}")
        records.append(data.reshape(-1, 2 + PIXELS))
    records_IB = np.concatenate(records)
    classes = name_labels(records_IB[:, 1], range(len(names)), names, f"{prefix}*.bin")
    how = "official binary archive, train and test merged"
    return ordered(_channels_last(records_IB[:, 2:]), classes, asked, how)


def _planes(data: Array) -> np.ndarray:
    """Return images_IHWC from 3072 bytes an image, channel by channel."""
    pixels = data.numpy()
    if pixels.dtype != np.uint8:
        raise ValueError(f"pixels of type {pixels.dtype}")
    return _channels_last(pixels)


def _channels_last(planes_IB: np.ndarray) -> np.ndarray:
    return planes_IB.reshape(-1, 3, IMAGE_SIZE, IMAGE_SIZE).transpose(0, 2, 3, 1)


# -- a file a split: pickles of MetaOptNet and RFS, npz of TADAM


def _read_splits(
    load: Callable[[Blob], Mapping[str, Any]],
    keys: tuple[str, str],
    how: str,
    files: Files,
    found: SplitFiles,
    asked: Asked,
) -> Reading:
    """Read a table a split, opened by `load`; keys: of its images and its labels."""
    tables = {split: load(files.blob(name)) for split, name in found.items()}
    parts, labels = [], {}
    for split, table in tables.items():
        with reading("not CIFAR images with labels", found[split]):
            images_IHWC, labels_I = table[keys[0]].numpy(), as_labels(table[keys[1]])
            if images_IHWC.dtype != np.uint8 or images_IHWC.shape[1:] != SHAPE:
                raise ValueError(f"images of {images_IHWC.shape} {images_IHWC.dtype}")
            _same_length(images_IHWC, labels_I)
        parts.append(images_IHWC)
        labels[split] = labels_I
    return ordered(np.concatenate(parts), _classes_of(labels, found), asked, how)


def _classes_of(labels: dict[Split, np.ndarray], found: SplitFiles) -> list[str]:
    """Return the class of each image. Labels number the classes of a split in alphabetical order.

    Fine labels do so, and labels that were made from folders do.
    """
    ids = {split: sorted(set(labels_I.tolist())) for split, labels_I in labels.items()}
    counts = [len(ids[split]) for split in SPLITS]
    folds = [load_split(name) for name in FOLDS]
    fold = next((f for f in folds if counts == [len(f.classes(s)) for s in SPLITS]), None)
    if fold is None:
        raise UserError(
            f"{found['train']} and its siblings hold {'/'.join(map(str, counts))} classes, "
            "neither CIFAR-FS's 64/16/20 nor FC100's 60/20/20"
        )
    return [
        name
        for split in SPLITS
        for name in name_labels(labels[split], ids[split], fold.classes(split), found[split])
    ]


def _same_length(*columns: Any) -> None:
    if len({len(column) for column in columns}) > 1:
        raise ValueError(f"columns of {', '.join(str(len(column)) for column in columns)} rows")


FORMS = (
    Form(
        "the official Python archive",
        "cifar-100-python.tar.gz or its folder",
        partial(_find_batches, "meta", BATCHES),
        _read_python,
    ),
    Form(
        "the official binary archive",
        "cifar-100-binary.tar.gz or its folder",
        partial(_find_batches, "fine_label_names.txt", ("train.bin", "test.bin")),
        _read_binary,
    ),
    Form(
        "MetaOptNet's pickles",
        "{train,val,test}.pickle, perhaps with CIFAR_FS_ or FC100_ before it",
        split_files(r"(?:CIFAR_FS_|FC100_)?{split}\.pickle"),
        partial(_read_splits, load_table, ("data", "labels"), "pickles of the splits"),
    ),
    Form(
        "TADAM's npz files",
        "few-shot-{train,val,test}.npz",
        split_files(r"few-shot-{split}\.npz"),
        partial(_read_splits, open_npz, ("features", "targets"), "npz of the splits"),
    ),
    replace(CLASS_FOLDERS, read=_read_folders),
)
CIFAR_FS = DataSource(
    name="cifar-fs",
    description="CIFAR-100, split by class 64/16/20 (Bertinetto et al. 2019)",
    image_size=IMAGE_SIZE,
    mean=(0.5071, 0.4867, 0.4408),
    std=(0.2675, 0.2565, 0.2761),
    split=partial(load_split, "cifar-fs"),
    forms=FORMS,
    check=check,
    downloads=partial(load_downloads, "cifar-fs"),
    images={"train": 38_400, "val": 9_600, "test": 12_000},
    photographs=True,
    in_suite=True,
)
FC100 = replace(
    CIFAR_FS,
    name="fc100",
    description="CIFAR-100, split by superclass 60/20/20 (Oreshkin et al. 2018)",
    split=partial(load_split, "fc100"),
    downloads=partial(load_downloads, "fc100"),
    images={"train": 36_000, "val": 12_000, "test": 12_000},
)
