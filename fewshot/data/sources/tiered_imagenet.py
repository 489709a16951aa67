"""tieredImageNet: 608 classes of ILSVRC-2012 under 34 super-categories, 779,165 images of 84x84.

The pickled forms number their classes in an order that no list tells. Those of Ren et al. give each
number a name, which synsets.txt and class_names.txt, given out with them, turn into a WordNet id;
without these, classes go by their numbers and the split is that of the files. All were written with
OpenCV, whose channels are blue, green, red: PNG files come out right, raw arrays are mostly still
in that order.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from fewshot.data.sources.forms import CLASS_FOLDERS, SplitFiles, split_files
from fewshot.data.sources.images import decode, find_classes, read_class_folders
from fewshot.data.sources.labelled import (
    LabelledImages,
    as_labels,
    load_table,
    read_labelled,
    reading,
)
from fewshot.data.sources.mini_imagenet import IMAGE_SIZE, IMAGENET_MEAN, IMAGENET_STD
from fewshot.data.sources.source import Asked, DataSource, Form, Reading, load_downloads
from fewshot.data.splits import ClassSplit, load_split
from fewshot.data.untrusted.arrays import Array, open_npz
from fewshot.data.untrusted.blobs import Blob
from fewshot.data.untrusted.files import Files
from fewshot.data.untrusted.pickles import load_pickle, raw, text
from fewshot.data.variants.summaries import looks_bgr
from fewshot.episodes.sampling import SPLITS, Split
from fewshot.errors import UserError

IMAGES: dict[Split, int] = {"train": 448_695, "val": 124_261, "test": 206_209}
COLOUR_IMAGES = 1000  # of a split, looked at to tell the order of the channels

PREFIX = r"(?:tiered-imagenet-)?"  # of the files at Zenodo
find_labels = split_files(PREFIX + r"{split}_labels\.pkl")
Image = Callable[[int], np.ndarray]


class _Found(NamedTuple):
    images: SplitFiles
    labels: SplitFiles


def check(reading: Reading, images: Mapping[Split, int] = IMAGES) -> None:
    """Raise UserError unless each split has as many classes and images as it should.

    images: of each split.
    """
    expected = load_split("tiered-imagenet")
    split = reading.split or expected
    split.check_classes(reading.class_sizes)
    for part in SPLITS:
        names = split.classes(part)
        if len(names) != len(expected.classes(part)):
            raise UserError(
                f"the {part} split has {len(names)} classes, not {len(expected.classes(part))}"
            )
        count = sum(reading.class_sizes[name] for name in names)
        if count != images[part]:
            raise UserError(f"the {part} split has {count:,} images, not {images[part]:,}")


def _read_folders(files: Files, names: Sequence[str], asked: Asked) -> Reading:
    """Read the 608 classes, also out of all 1,000 of ILSVRC-2012."""
    split = load_split("tiered-imagenet")
    wanted = {name for part in SPLITS for name in split.classes(part)}
    found = find_classes(names)
    kept = {name: members for name, members in found.items() if name in wanted}
    reading = read_class_folders(files, asked, kept or found)
    if left_out := len(found) - len(kept):
        reading.info["how"] += f", {left_out} classes that are not its own left out"
    return reading


def _read_png(files: Files, found: _Found, asked: Asked) -> Reading:
    """Read pickled lists of PNG files, each an array of bytes."""

    def open_images(name: str) -> tuple[Image, int]:
        encoded = load_pickle(files.blob(name))
        if not isinstance(encoded, list):
            raise UserError(f"{name}: a {type(encoded).__name__}, not a list of PNG files")
        return lambda i: decode(_bytes(encoded[i], name), f"{name}: image {i}", "PNG"), len(encoded)

    parts = _labelled(files, found, open_images)
    return _reading(parts, asked, "pickled PNG files of Ren et al.")


def _read_npz(files: Files, found: _Found, asked: Asked) -> Reading:
    """Read raw arrays; their channels are put in the order red, green, blue."""

    def open_images(name: str) -> tuple[Image, int]:
        images = open_npz(files.blob(name)).get("images")
        if images is None or images.dtype != np.uint8 or len(images.shape) != 4:
            raise UserError(f"{name}: no array 'images' of bytes and four axes")
        return images.part, len(images)

    parts = _labelled(files, found, open_images)
    mean = _mean_colour(parts)
    shown = " ".join(f"{value:.3f}" for value in mean)
    order = {True: "BGR, turned to RGB", False: "RGB", None: "taken for RGB, colours do not tell"}
    channels = f"{order[looks_bgr(mean)]} (mean in the file {shown})"
    if looks_bgr(mean):
        parts = {split: part._replace(image=_flipped(part.image)) for split, part in parts.items()}
    reading = _reading(parts, asked, "npz arrays of Ren et al. and MetaOptNet")
    return reading._replace(info={**reading.info, "channels": channels})


def _labelled(
    files: Files, found: _Found, open_images: Callable[[str], tuple[Image, int]]
) -> dict[Split, LabelledImages]:
    id_of = _wordnet_ids(files)
    parts = {}
    for split in SPLITS:
        name = found.images[split]
        image, count = open_images(name)
        classes = _class_names(load_table(files.blob(found.labels[split])), split, id_of, name)
        if len(classes) != count:
            raise UserError(f"{found.labels[split]}: {len(classes)} labels for {count} images")
        parts[split] = LabelledImages(name, classes, image)
    return parts


def _wordnet_ids(files: Files) -> dict[str, set[str]]:
    """Return the WordNet ids of each name (some have two) by the lists beside the pickles."""
    paths = {name.rpartition("/")[2].removeprefix("tiered-imagenet-"): name for name in files.names}
    ids, words = (
        files.read(paths[file]).decode("utf-8", "replace").splitlines() if file in paths else []
        for file in ("synsets.txt", "class_names.txt")
    )
    found = defaultdict(set)
    for wordnet_id, word in zip(ids, words, strict=False):
        found[word.strip()].add(wordnet_id.strip())
    return found


def _class_names(
    table: Mapping[str, Any], split: Split, id_of: Mapping[str, set[str]], where: str
) -> list[str]:
    """Return each image's class: WordNet id, or split, number and words ('train-007 robin')."""
    with reading("labels that are not tieredImageNet's", where):
        labels_I = as_labels(table["labels" if "labels" in table else "label_specific"])
        words = [text(word).strip() for word in table.get("label_specific_str", [])]
        labels = sorted(set(labels_I.tolist()))
        numbered = {
            label: f"{split}-{label:03} {words[label] if words else ''}" for label in labels
        }
        mine = set(load_split("tiered-imagenet").classes(split))
        ids = {label: id_of.get(words[label], set()) & mine for label in labels if words}
    if ids and all(len(found) == 1 for found in ids.values()):
        numbered = {label: min(found) for label, found in ids.items()}
    return [numbered[label].rstrip() for label in labels_I.tolist()]


def _reading(parts: Mapping[Split, LabelledImages], asked: Asked, how: str) -> Reading:
    """Return the images with the split of the files, unless classes have their WordNet ids."""
    reading = read_labelled(list(parts.values()), asked, {"how": how})
    train, val, test = (tuple(sorted(set(parts[split].classes))) for split in SPLITS)
    split = ClassSplit(train, val, test, source="the files of the source, classes by number")
    known = load_split("tiered-imagenet")
    by_id = all(split.classes(part) == known.classes(part) for part in SPLITS)
    return reading if by_id else reading._replace(split=split)


def _mean_colour(parts: Mapping[Split, LabelledImages]) -> tuple[float, ...]:
    """Return the mean of each channel in 0..1, over images spread over all parts."""
    means = [
        part.image(int(i)).reshape(-1, 3).mean(0) / 255
        for part in parts.values()
        for i in np.linspace(0, len(part.classes) - 1, COLOUR_IMAGES).astype(int)
    ]
    return tuple(np.mean(means, axis=0).tolist())


def _flipped(image: Image) -> Image:
    return lambda i: image(i)[..., ::-1]


def _bytes(value: Any, name: str) -> bytes:
    if isinstance(value, Array):
        return value.numpy().tobytes()
    if isinstance(value, bytes | Blob):
        return raw(value)
    raise UserError(f"{name}: a {type(value).__name__} among the PNG files")


def _find(pattern: str) -> Callable[[Sequence[str]], _Found | None]:
    find_images = split_files(pattern)

    def find(names: Sequence[str]) -> _Found | None:
        images = find_images(names)
        labels = find_labels(names) if images else None
        if images and labels is None:
            raise UserError(f"beside {images['train']}: no train_labels.pkl and its siblings")
        return _Found(images, labels) if images and labels else None

    return find


TIERED_IMAGENET = DataSource(
    name="tiered-imagenet",
    description="608 classes of ImageNet, split by super-category 351/97/160 (Ren et al. 2018)",
    image_size=IMAGE_SIZE,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    split=partial(load_split, "tiered-imagenet"),
    forms=(
        Form(
            "pickled PNG files",
            "{train,val,test}_images_png.pkl with {train,val,test}_labels.pkl",
            _find(PREFIX + r"{split}_images_png\.pkl"),
            _read_png,
        ),
        Form(
            "npz arrays",
            "{train,val,test}_images.npz with {train,val,test}_labels.pkl",
            _find(PREFIX + r"{split}_images\.npz"),
            _read_npz,
        ),
        replace(CLASS_FOLDERS, read=_read_folders),
    ),
    check=check,
    downloads=partial(load_downloads, "tiered-imagenet"),
    images=IMAGES,
    photographs=True,
    in_suite=True,
)
