"""Race the sampling and loading of training episodes against learn2learn and easyfsl.

    python benchmarks/speed/loading.py [--data DIR] [--json FILE]

`tox -e peers` makes an environment with both libraries (`.tox/peers/bin/python`); one that is
missing is left out.
Episodes are 5-way 5-shot with 15 queries of the training split of CIFAR-FS (random pixels of the
same number and size where it was not imported, or where --classes or --images is given), delivered
as normalised float tensors, without augmentation and with a random crop and flip.

The suite's episodes come as a training step gets them, some number at once. The peers give one at
a time, in this process or by worker processes (as a rule the better of the two is meant): of *PIL
images*, which torchvision changes and normalises one by one, as their examples do; and of *float
tensors* in memory, the cheapest that they can be given. `loaders.py` has each in full. *Indices*
is the choice of images alone.

First each is asked for episodes of images that tell which image they are, to see that classes,
labels, images and augmentation are right. Then all take turns of --seconds, after a round that
does not count; the median of the rounds is given. Each turn begins with draws that do not count,
and ends with a pause, so that no worker starts with episodes in stock, or works in others' turns.
"""

import argparse
import os
import random
import statistics
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import common
import loader_checks
import loaders
import numpy as np
import torch
from loaders import CPU, Contestant

from fewshot import data, machine
from fewshot.data.catalogue import known_datasets
from fewshot.episodes.sampling import EpisodeShape
from fewshot.episodes.source import EpisodeSource

SHAPE = EpisodeShape(n_way=5, n_shot=5, n_query=15)
DATASET, CLASSES, IMAGES = "cifar-fs", 64, 600
STOCK = 2  # episodes that a DataLoader has ready for each worker
PAUSE_S = 0.2
MARKED_PER_CLASS = 40


def open_images(args: argparse.Namespace) -> tuple[EpisodeSource, str]:
    """The training split to draw from, and what it is in words."""
    directory = data.data_dir(args.data)
    wants_random = args.classes is not None or args.images is not None
    if not wants_random and DATASET in data.available(directory):
        source = data.open_source(DATASET, "train", directory, known_datasets())
        what = f"{DATASET}, training split {source.fingerprint}"
    else:
        source = random_pixels(args.classes or CLASSES, args.images or IMAGES)
        what = "random pixels"
    sizes = sorted(set(source.class_sizes.tolist()))
    each = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    edge = source.image_size
    return source, f"{what}: {len(source.class_sizes)} classes of {each} images, {edge}x{edge}"


def random_pixels(n_classes: int, per_class: int) -> EpisodeSource:
    """A split of noise, scaled as CIFAR-FS is."""
    known = known_datasets()[DATASET]
    size = known.image_size
    shape = (n_classes * per_class, size, size, 3)
    return EpisodeSource(
        dataset="random",
        split="train",
        images_IHWC=np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8),
        class_names=tuple(f"class-{c}" for c in range(n_classes)),
        class_starts=np.arange(n_classes) * per_class,
        class_sizes=np.full(n_classes, per_class),
        mean=known.mean,
        std=known.std,
        fingerprint="",
    )


def episodes_per_s(contestant: Contestant, seconds: float) -> float:
    """Episodes a second in one turn."""
    for _ in range(STOCK * contestant.workers + 1):
        contestant.draw()
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        contestant.draw()
        count += contestant.at_once
    if contestant.workers:
        time.sleep(PAUSE_S)
    return count / elapsed


def race(contestants: list[Contestant], args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each contestant: the median, least and most of its rounds."""
    runs = {c.name: partial(episodes_per_s, c, args.seconds) for c in contestants}
    return [
        {
            "who": who,
            "how": how,
            "workers": workers,
            "episodes_per_s": round(statistics.median(rates), 1),
            "least": round(min(rates), 1),
            "most": round(max(rates), 1),
        }
        for (who, how, workers), rates in common.take_turns(runs, args.rounds).items()
    ]


def best(rows: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Of each peer's ways the row with the best number of workers; of ours the best row at all."""
    out: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key = (row["who"], "" if row["who"] == "ours" else row["how"])
        if key not in out or row["episodes_per_s"] > out[key]["episodes_per_s"]:
            out[key] = row
    return out


def ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """How many times faster the best of ours is than the best of each peer's ways."""
    others = best(rows)
    mine = others.pop(("ours", ""))["episodes_per_s"]
    return {
        f"{who}, {how}": round(mine / r["episodes_per_s"], 1) for (who, how), r in others.items()
    }


def table(part: str, rows: list[dict[str, Any]]) -> str:
    """One part of the race as text; the ratio stands beside the best of each peer's ways."""
    times, top = ratios(rows), best(rows)
    lines = [part]
    for row in rows:
        who, how = row["who"], row["how"]
        workers = "" if who == "ours" or part == "indices" else f", {row['workers']} workers"
        line = f"    {f'{who}, {how}{workers}':40}{row['episodes_per_s']:10,.0f} episodes/s"
        if who != "ours" and row is top[who, how]:
            line += f"   ours: {times[f'{who}, {how}']:.1f} times"
        lines.append(line)
    return "\n".join(lines)


def contestants_of(
    part: str, source: EpisodeSource, peers: list[str], args: argparse.Namespace
) -> list[Contestant]:
    """All contestants of one part of the race, each made anew."""
    if part == "indices":
        return loaders.samplers(source, SHAPE, args.at_once, peers)
    return loaders.loaders(source, SHAPE, part, args.at_once, args.workers, peers)


def check(part: str, source: EpisodeSource, peers: list[str], args: argparse.Namespace) -> None:
    """Raises ValueError, naming the contestant, where one gives a wrong episode."""
    per_class = min(MARKED_PER_CLASS, int(source.class_sizes.min()))
    marked = loader_checks.marked_source(source, per_class)
    for contestant in contestants_of(part, marked, peers, args):
        try:
            if part == "indices":
                for rows_M in contestant.read(contestant.draw()):
                    loader_checks.check_rows(rows_M, loaders.labels_of(marked), SHAPE)
            else:
                loader_checks.check_loader(contestant, marked, SHAPE, part)
        except ValueError as error:
            raise ValueError(f"{contestant.who}, {contestant.how}: {error}") from error


def options() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, metavar="DIR", help="of stores, as for `fewshot run`")
    parser.add_argument("--classes", type=int, help="of random pixels, in place of CIFAR-FS")
    parser.add_argument("--images", type=int, help="of random pixels, in each class")
    parser.add_argument("--parts", nargs="+", default=["indices", "none", "crop_flip"])
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 4], help="episodes of ours")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="of the peers")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a turn")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


def main() -> None:
    """Read the options, check, race, print."""
    args = options()
    torch.set_num_threads(args.threads)
    torch.manual_seed(loaders.SEED)
    random.seed(loaders.SEED)
    machine.keep_freed_memory()  # as `fewshot run` does; the other libraries gain by it too
    source, what = open_images(args)
    peers = loaders.installed_peers()
    versions = {name: machine.package_version(name) for name in loaders.PEERS}
    load = round(os.getloadavg()[0], 1)
    facts = {"libraries": versions, "images": what, "load_average": load}
    report = common.describe_run(args, CPU, **facts) | {"results": {}, "ratios": {}}
    print(f"{what}; {SHAPE.n_way}-way {SHAPE.n_shot}-shot, {SHAPE.n_query} queries")
    for missing in sorted(set(loaders.PEERS) - set(peers)):
        print(f"{missing} is not installed", file=sys.stderr)
    for part in args.parts:
        check(part, source, peers, args)
        rows = race(contestants_of(part, source, peers, args), args)
        report["results"][part], report["ratios"][part] = rows, ratios(rows)
        print(table(part, rows), flush=True)
        common.write_report(args.json, report)


if __name__ == "__main__":
    main()
