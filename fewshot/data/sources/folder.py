"""Anyone's images, one folder a class."""

from collections.abc import Collection
from pathlib import Path

from fewshot.data.sources.forms import CLASS_FOLDERS
from fewshot.data.sources.source import DataSource, Reading
from fewshot.data.splits import ClassSplit, parse_fractions, parse_split, split_by_fractions
from fewshot.errors import UserError

SPLIT_FILE = "split.toml"
SPLIT_SEED = 0


def check(reading: Reading) -> None:
    """Raise UserError when a class has fewer than 2 images: there'd be no support and query."""
    for name, count in reading.class_sizes.items():
        if count < 2:
            raise UserError(f"class '{name}' has {count} image; at least 2 are needed")


def choose_split(option: str, class_names: Collection[str]) -> ClassSplit:
    """Return the split a user asks for: weights or class counts TRAIN/VAL/TEST, or a TOML file.

    Raises UserError when it is neither, or does not have exactly the classes of the data.
    """
    if fractions := parse_fractions(option):
        return split_by_fractions(class_names, fractions, SPLIT_SEED)
    if not Path(option).is_file():
        raise UserError(f"--split {option}: neither TRAIN/VAL/TEST (like 64/16/20) nor a TOML file")
    split = parse_split(Path(option))
    split.check_classes(class_names)
    return split


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
