"""A tiny data set and a benchmark of it, run through in seconds."""

from pathlib import Path

import numpy as np
from helpers.sources import IMAGE_SIZE

from fewshot.data.sources.source import Reading
from fewshot.data.splits import SPLIT_FILE, ClassSplit, format_split
from fewshot.data.store import write_store

SEEN = ["class-00", "class-03"]  # of tiny's training classes, among near's test classes

BENCHMARK = """
# A benchmark of seconds
[defaults]
dataset = "tiny"
backbone = "conv4"
backbone_options = { filters = 4 }

[defaults.scoring]
n_way = 3
n_shot = [1, 5]
n_query = 2
episodes = 20

[defaults.recipe]
steps = 3
batch_size = 8
n_way = 3
n_shot = 1
n_query = 2
validations = 1
val_episodes = 4
val_n_way = 3
val_n_shot = 1
val_n_query = 2

[[training]]
learner = "pixels"

[[training]]
learner = "protonet"

[[training]]
learner = "transfer"
"""


SHORT = BENCHMARK.replace("n_shot = [1, 5]", "n_shot = 1").replace('"transfer"', '"mtl"')
BROKEN = BENCHMARK.replace('"protonet"', '"broken"')


def write_tiny(directory: Path, seed: int = 0, other_test_images: bool = False) -> Path:
    """The data set `tiny`: 12 classes of noisy colours, 10 images each, but 9 of `class-11`."""
    rng = np.random.default_rng(seed)
    names = [f"class-{c:02}" for c in range(12)]
    sizes = {name: 9 if name == "class-11" else 10 for name in names}
    shape = (IMAGE_SIZE, IMAGE_SIZE, 3)
    images = [
        np.clip(colour + 60 * rng.standard_normal(shape), 0, 255).astype(np.uint8)
        for size, colour in zip(sizes.values(), rng.uniform(60, 190, (12, 3)), strict=True)
        for _ in range(size)
    ]
    if other_test_images:
        images[80:] = [255 - image for image in images[80:]]
    split = ClassSplit(tuple(names[:5]), tuple(names[5:8]), tuple(names[8:]), "made")
    return write_made(directory, "tiny", sizes, images, split)


def write_near(directory: Path, size: int = IMAGE_SIZE, seen=SEEN, seed: int = 7) -> Path:
    """The data set `near`: 3/3/4 classes of 10 noisy images, some by the names of tiny's."""
    rng = np.random.default_rng(seed)
    unseen = [f"other-{c}" for c in range(10 - len(seen))]
    split = ClassSplit(tuple(unseen[:3]), tuple(unseen[3:6]), (*seen, *unseen[6:]), "made")
    sizes = dict.fromkeys(sorted([*seen, *unseen]), 10)
    images = list(rng.integers(0, 256, (100, size, size, 3), dtype=np.uint8))
    return write_made(directory, "near", sizes, images, split)


def write_made(directory: Path, name: str, sizes, images, split: ClassSplit | None) -> Path:
    """A store of these images; with a split of its own unless the suite knows the data set."""
    reading = Reading(sizes, lambda start, stop: iter([np.array(images[start:stop])]), {})
    extra = {SPLIT_FILE: format_split(split)} if split else {}
    write_store(directory / name, reading, len(images[0]), extra)
    return directory
