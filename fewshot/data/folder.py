"""Anyone's images, one folder a class."""

from collections.abc import Collection
from pathlib import Path

from fewshot.data.images import read_class_folders
from fewshot.data.source import Reading
from fewshot.data.splits import ClassSplit, parse_fractions, parse_split, split_by_fractions
from fewshot.errors import UserError

IMAGE_SIZE = 84
SPLIT_FILE = "split.toml"
SPLIT_SEED = 0
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


def read(source: Path, size: int = IMAGE_SIZE) -> Reading:
    """Images of class folders (folder or zip), brought to `size` x `size` pixels.

    Raises UserError when a class has fewer than 2 images: there'd be no support and query.
    """
    if size < 1:
        raise UserError(f"--size {size}: the edge of an image is at least 1 pixel")
    reading = read_class_folders(source, size, resize=True)
    for name, count in reading.class_sizes.items():
        if count < 2:
            raise UserError(f"class '{name}' has {count} image; at least 2 are needed")
    return reading


def choose_split(option: str, class_names: Collection[str]) -> ClassSplit:
    """The split a user asks for: weights or class counts TRAIN/VAL/TEST, or a TOML file.

    Raises UserError when it is neither, or does not have exactly the classes of the data.
    """
    if fractions := parse_fractions(option):
        return split_by_fractions(class_names, fractions, SPLIT_SEED)
    if not Path(option).is_file():
        raise UserError(f"--split {option}: neither TRAIN/VAL/TEST (like 64/16/20) nor a TOML file")
    split = parse_split(Path(option))
    split.check_classes(class_names)
    return split
