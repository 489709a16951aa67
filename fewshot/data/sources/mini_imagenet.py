"""miniImageNet: 100 classes of ILSVRC-2012 with 600 images of 84x84 each, in every form.

The forms do not hold the same pixels: their makers resized the photographs each in a way of their
own. The store keeps which form it came from, and its fingerprint tells them apart.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from fewshot.data.sources.forms import CLASS_FOLDERS, SplitFiles, split_files
from fewshot.data.sources.labelled import (
    LabelledImages,
    as_labels,
    load_table,
    name_labels,
    read_labelled,
    reading,
)
from fewshot.data.sources.listed import LISTED
from fewshot.data.sources.source import Asked, DataSource, Form, Reading, load_downloads
from fewshot.data.splits import check_class_sizes, load_split
from fewshot.data.untrusted.arrays import Array
from fewshot.data.untrusted.files import Files
from fewshot.data.untrusted.pickles import text
from fewshot.errors import UserError

IMAGE_SIZE = 84
IMAGES_PER_CLASS = 600
IMAGENET_MEAN = (0.47214, 0.45331, 0.40996)  # of ILSVRC's photographs at 84x84 (Lee et al. 2019)
IMAGENET_STD = (0.27718, 0.26775, 0.28449)


def check(reading: Reading, per_class: int = IMAGES_PER_CLASS) -> None:
    """Raise UserError unless there are the 100 classes with `per_class` images each."""
    check_class_sizes(reading.class_sizes, load_split("mini-imagenet"), per_class)


def _read_cache(files: Files, found: SplitFiles, asked: Asked) -> Reading:
    """Read pickles of `image_data` (I, 84, 84, 3) and `class_dict`, the indices of each class."""
    parts = []
    for name in found.values():
        table = load_table(files.blob(name))
        with reading("no image_data with a class_dict", name):
            images, indices_of = _pixels(table["image_data"]), table["class_dict"]
            classes = np.full(len(images), "", dtype=object)
            for class_name, indices in indices_of.items():
                classes[_indices(indices, len(images))] = text(class_name)
        if "" in classes:
            raise UserError(f"{name}: image {list(classes).index('')} is of no class")
        parts.append(LabelledImages(name, classes.tolist(), images.part))
    return read_labelled(parts, asked, {"how": "cache pickles of Ren et al. and learn2learn"})


def _read_category_splits(files: Files, found: SplitFiles, asked: Asked) -> Reading:
    """Read pickles of `data` (I, 84, 84, 3) and `labels`, numbers of the classes of all splits."""
    parts, named = [], set()
    for split, name in found.items():
        table = load_table(files.blob(name))
        with reading("no images with labels", name):
            images, labels_I = _pixels(table["data"]), as_labels(table["labels"])
            if len(images) != len(labels_I):
                raise ValueError(f"{len(images)} images, {len(labels_I)} labels")
            names = load_split("mini-imagenet").classes(split)
            ids = _ids_of(table.get("catname2label"), names)
        named.add("catname2label" if ids else "the order of WordNet ids")
        ids = ids or sorted(set(labels_I.tolist()))
        if len(ids) != len(names):
            raise UserError(f"{name}: {len(ids)} labels for the {len(names)} {split} classes")
        parts.append(LabelledImages(name, name_labels(labels_I, ids, names, name), images.part))
    how = f"category-split pickles of Gidaris and MetaOptNet, labels by {' and '.join(named)}"
    return read_labelled(parts, asked, {"how": how})


def _ids_of(label_of: Any, names: Sequence[str]) -> list[int] | None:
    """Return the label of each class by the table that some files carry; None without it."""
    by_name = {text(key): label for key, label in label_of.items()} if label_of else {}
    return [int(by_name[name]) for name in names] if set(names) <= by_name.keys() else None


def _pixels(array: Array) -> Array:
    if array.dtype != np.uint8 or len(array.shape) != 4 or array.shape[3] != 3:
        raise ValueError(f"images of {array.shape} {array.dtype}")
    return array


def _indices(indices: Any, count: int) -> np.ndarray:
    indices_I = as_labels(indices)
    if len(indices_I) and not 0 <= indices_I.min() <= indices_I.max() < count:
        raise ValueError(f"rows beyond the {count} images")
    return indices_I


MINI_IMAGENET = DataSource(
    name="mini-imagenet",
    description="100 classes of ImageNet, split 64/16/20 (Ravi and Larochelle 2017)",
    image_size=IMAGE_SIZE,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    split=partial(load_split, "mini-imagenet"),
    forms=(
        Form(
            "the cache pickles",
            "mini-imagenet-cache-{train,val or validation,test}.pkl",
            split_files(r"mini-imagenet-cache-{split}\.pkl"),
            _read_cache,
        ),
        Form(
            "the category-split pickles",
            "miniImageNet_category_split_{train_phase_train,val,test}.pickle",
            # Of the training classes there are two more files, of images beyond the 600.
            split_files(r"miniImageNet_category_split_{split}\.pickle", train="train_phase_train"),
            _read_category_splits,
        ),
        LISTED,
        CLASS_FOLDERS,
    ),
    check=check,
    downloads=partial(load_downloads, "mini-imagenet"),
    images={"train": 38_400, "val": 9_600, "test": 12_000},
    photographs=True,
    in_suite=True,
)
