"""Tells the form in which a source holds a data set, by the names of its files."""

import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any

from fewshot.data.sources.images import find_classes, find_images, is_junk, read_class_folders
from fewshot.data.sources.source import Asked, DataSource, Form, Reading
from fewshot.data.untrusted.files import Files
from fewshot.episodes.sampling import SPLITS, Split
from fewshot.errors import UserError

SPLIT_NAMES: dict[Split, str] = {"train": "train", "val": "val|valid|validation", "test": "test"}
SplitFiles = dict[Split, str]


def recognise(files: Files, forms: Sequence[Form]) -> tuple[Form, Any]:
    """Return the form of a source, and the argument that its `read` takes.

    Raises UserError that says what could be read when the source is of none of the forms.
    """
    names = [name for name in files.names if not is_junk(name)]
    for form in forms:
        if (found := form.find(names)) is not None:
            return form, found
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")
    known = "; ".join(f"{form.name} ({form.looks})" for form in forms)
    raise UserError(
        f"{files.source}: of no known form: it has {shown or 'no files'}. Known: {known}"
    )


def stamp(files: Files) -> str:
    """Return a hash of all names and sizes: an interrupted import knows its source by it."""
    digest = sha256()
    for name in files.names:
        digest.update(f"{name}\n{files.size(name)}\n".encode())
    return digest.hexdigest()[:16]


def split_files(pattern: str, train: str = "train") -> Callable[[Sequence[str]], SplitFiles | None]:
    """Return a finder of one file a split. In `pattern`, for the bare name, stands '{split}'.

    train: the word for the training split there. The finder raises UserError when there are
    files for some splits and not for others, or several for one.
    """
    names = {**SPLIT_NAMES, "train": train}
    of_split = {s: re.compile(pattern.replace("{split}", f"(?:{names[s]})")) for s in SPLITS}

    def find(names: Sequence[str]) -> SplitFiles | None:
        found = {
            split: [name for name in names if regex.fullmatch(name.rpartition("/")[2])]
            for split, regex in of_split.items()
        }
        if not any(found.values()):
            return None
        for split, matches in found.items():
            if len(matches) != 1:
                other = next(name for names in found.values() for name in names)
                have = f"both {matches[0]} and {matches[1]}" if matches else "none"
                raise UserError(f"beside {other}, of the {split} split: {have}")
        return {split: matches[0] for split, matches in found.items()}

    return find


def check(reading: Reading) -> None:
    """Raise UserError when a class has fewer than 2 images: there'd be no support and query."""
    for name, count in reading.class_sizes.items():
        if count < 2:
            raise UserError(f"class '{name}' has {count} image; at least 2 are needed")


def _read_folders(files: Files, names: Sequence[str], asked: Asked) -> Reading:
    return read_class_folders(files, asked, find_classes(names))


CLASS_FOLDERS = Form(
    "class folders",
    "a folder of images for each class, perhaps within train, val and test",
    find_images,
    _read_folders,
)
OWN = DataSource(
    name="own",
    description="anyone's images, a folder a class",
    image_size=84,
    mean=(0.485, 0.456, 0.406),  # of ImageNet
    std=(0.229, 0.224, 0.225),
    forms=(CLASS_FOLDERS,),
    check=check,
    in_suite=True,
)
