"""miniImageNet: 100 classes of ILSVRC-2012 with 600 images of 84x84 each, in class folders."""

from pathlib import Path

from fewshot.data.images import read_class_folders
from fewshot.data.source import DataSource, Reading
from fewshot.data.splits import check_class_sizes, load_split

IMAGE_SIZE = 84
IMAGES_PER_CLASS = 600


def read(source: Path, per_class: int = IMAGES_PER_CLASS) -> Reading:
    """MiniImageNet from a folder or zip of class folders, named by WordNet id.

    Raises UserError unless there are the 100 classes with `per_class` images of 84x84 each.
    """
    reading = read_class_folders(source, IMAGE_SIZE)
    check_class_sizes(reading.class_sizes, load_split("mini-imagenet"), per_class)
    return reading


MINI_IMAGENET = DataSource(
    "mini-imagenet",
    "100 classes of ImageNet, split 64/16/20 (Ravi and Larochelle 2017)",
    IMAGE_SIZE,
    mean=(0.47214, 0.45331, 0.40996),
    std=(0.27718, 0.26775, 0.28449),
    read=read,
    split=lambda: load_split("mini-imagenet"),
)
