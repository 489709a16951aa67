"""tieredImageNet at its full size, of generated images: import, opening, sampling, training.

    python benchmarks/speed/tiered_scale.py FOLDER [--share 0.01] [--json FILE]

FOLDER takes 19 GB (times --share): a tar of class tars, as ILSVRC-2012 comes, and the store made
from it. The classes are tieredImageNet's, its 608 in 34 super-categories with as many images in
each split; an image is JPEG at 84x84, of a colour of its super-category and a pattern of its class,
64 different ones a class.

Printed and kept: images imported a second, against the bare decoder (Pillow, on files of the same
source that lie in memory, in as many processes as there are processors) and with how much memory;
what a killed import loses; seconds to open; an episode's sampling against miniImageNet's; images
trained on a second by ProtoNet and MTL with the memory for images bounded.
"""

import argparse
import io
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fewshot.data import open_source
from fewshot.data.catalogue import known_datasets
from fewshot.data.sources.tiered_imagenet import IMAGES
from fewshot.data.splits import load_split, tiered_super_categories
from fewshot.episodes.sampling import SPLITS, EpisodeShape, draw_episode

SIZE, DIFFERENT, QUALITY = 84, 64, 90
BARE_PASSES = 40  # over the files of a class, each time from another place in memory
IMPORT = """
import sys
from pathlib import Path
from fewshot import data
from fewshot.data.sources import tiered_imagenet
from dataclasses import replace
counts = dict(zip(("train", "val", "test"), map(int, sys.argv[3:])))
known = replace(tiered_imagenet.TIERED_IMAGENET,
    check=lambda reading: tiered_imagenet.check(reading, counts))
data.import_dataset(known.name, Path(sys.argv[1]), Path(sys.argv[2]), {known.name: known})
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak[0].split()[1]) // 1024)
"""
TRAIN = """
import json, sys, threading
from pathlib import Path
import torch
from fewshot import data, machine
from fewshot.data.catalogue import known_datasets
from fewshot.runner.build import build_learner
from fewshot.runner.benchmark import load_benchmark
from fewshot.runner.workspace import open_workspace
from fewshot.episodes.augment import AUGMENTS
from fewshot.harness.train import train
name, directory, memory_gb = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
machine.keep_freed_memory()
cell = load_benchmark("tiered_imagenet", settings=["recipe.validations=0", "recipe.select=last",
    "recipe.seconds=30"], learner=name)[0]
device = torch.device("cpu")
source = data.open_source("tiered-imagenet", "train", directory, known_datasets())
classes = open_workspace(".").classes(cell.training)
learner = build_learner(cell.training, classes, source, device)
mapped_kb, done = [0], threading.Event()
def watch():
    while not done.wait(0.2):  # what of the images is in this process's memory
        lines = iter(open("/proc/self/smaps"))
        kb = sum(int(next(l for l in lines if l.startswith("Rss")).split()[1])
                 for line in lines if line.rstrip().endswith("images.npy"))
        mapped_kb[0] = max(mapped_kb[0], kb)
threading.Thread(target=watch, daemon=True).start()
spent = train(learner, source, AUGMENTS[cell.training.recipe.augment], lambda _: 0.0,
    cell.training.recipe, 0, device, memory_gb=memory_gb).spent
print(json.dumps({"images": spent.images, "train_s": round(spent.train_s, 1),
    "data_s": round(spent.seconds["data"], 1),
    "peak_mb": machine.peak_memory_bytes(device) // 2**20,
    "images_mb_at_most": mapped_kb[0] // 1024}))
"""


def class_sizes(share: float) -> dict[str, int]:
    """Images of each class: those of a split spread evenly over its classes."""
    sizes: dict[str, int] = {}
    split = load_split("tiered-imagenet")
    for part in SPLITS:
        names = split.classes(part)
        total = max(round(IMAGES[part] * share), 20 * len(names))
        base, rest = divmod(total, len(names))
        sizes |= {name: base + (k < rest) for k, name in enumerate(names)}
    return sizes


def class_images(name: str, rng: np.random.Generator) -> list[bytes]:
    """Different JPEG files of a class: the colour of its super-category, its own coarse pattern."""
    above = int(tiered_super_categories()[name][1:])
    colour = np.random.default_rng(above).uniform(60, 190, 3)
    pattern = np.random.default_rng(int(name[1:])).normal(0, 25, (7, 7, 3))
    files = []
    for _ in range(DIFFERENT):
        coarse = colour + pattern + rng.normal(0, 30, (7, 7, 3))
        picture = Image.fromarray(coarse.clip(0, 255).astype(np.uint8)).resize((SIZE, SIZE))
        noisy = np.asarray(picture) + rng.normal(0, 6, (SIZE, SIZE, 1))
        file = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "jpeg", quality=QUALITY)
        files.append(file.getvalue())
    return files


def make_source(path: Path, sizes: dict[str, int]) -> None:
    """A tar of a tar for each class."""
    rng = np.random.default_rng(0)
    with tarfile.open(path, "w") as outer:
        for name, size in sizes.items():
            files, inner = class_images(name, rng), io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as archive:
                for i in range(size):
                    member = tarfile.TarInfo(f"{name}_{i}.JPEG")
                    member.size = len(files[i % DIFFERENT])
                    archive.addfile(member, io.BytesIO(files[i % DIFFERENT]))
            member = tarfile.TarInfo(f"{name}.tar")
            member.size = inner.tell()
            inner.seek(0)
            outer.addfile(member, inner)


def decode_all(source: Path) -> float:
    """Images a second of one process that does nothing but decode, once each, from memory."""
    with tarfile.open(source) as outer:
        member = outer.next()
        assert member
        inner = outer.extractfile(member)
        assert inner
        content = io.BytesIO(inner.read())
    with tarfile.open(fileobj=content) as archive:
        files = [file.read() for m in archive if (file := archive.extractfile(m))]
    files = [bytes(bytearray(data)) for _ in range(BARE_PASSES) for data in files]
    start = time.perf_counter()
    for data in files:
        np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    return len(files) / (time.perf_counter() - start)


def bare_decoder(source: Path) -> float:
    """Images a second of as many such processes as there are processors."""
    cores = os.cpu_count() or 1
    with multiprocessing.Pool(cores) as pool:
        return sum(pool.map(decode_all, [source] * cores))


def run_import(source: Path, directory: Path, counts: list[int], kill_at: int = 0) -> float:
    """Megabytes that the import took at its peak; killed once `kill_at` classes are noted down."""
    command = [sys.executable, "-c", IMPORT, source, directory, *map(str, counts)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    journal = directory / ".tiered-imagenet.partial" / "journal.json"
    while kill_at and process.poll() is None:
        if journal.exists() and len(json.loads(journal.read_bytes())["written"]) >= kill_at:
            process.kill()
        time.sleep(0.05)
    out, _ = process.communicate()
    return float(out) if out else 0.0


def imports(source: Path, directory: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """A whole import, between two measurements of the bare decoder."""
    split = load_split("tiered-imagenet")
    counts = [sum(sizes[name] for name in split.classes(part)) for part in SPLITS]
    decoder_before = bare_decoder(source)
    start = time.perf_counter()
    peak_mb = run_import(source, directory / "data", counts)
    seconds = time.perf_counter() - start
    decoder = statistics.mean([decoder_before, bare_decoder(source)])
    total = sum(counts)
    return {
        "images": total,
        "import_s": round(seconds, 1),
        "images_per_s": round(total / seconds),
        "bare_decoder_images_per_s": round(decoder),
        "share_of_decoder": round(total / seconds / decoder, 3),
        "peak_mb": peak_mb,
    }


def resumed(source: Path, directory: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """An import that is killed half-way, and then given again."""
    split = load_split("tiered-imagenet")
    counts = [sum(sizes[name] for name in split.classes(part)) for part in SPLITS]
    start = time.perf_counter()
    run_import(source, directory / "again", counts, kill_at=len(sizes) // 2)
    killed_s = time.perf_counter() - start
    start = time.perf_counter()
    run_import(source, directory / "again", counts)
    indices = [directory / name / "tiered-imagenet" / "index.json" for name in ("data", "again")]
    prints = [json.loads(index.read_text())["fingerprint"] for index in indices]
    return {
        "killed_after_s": round(killed_s, 1),
        "rest_s": round(time.perf_counter() - start, 1),
        "same_store": prints[0] == prints[1],
    }


def median_ms(function: Any, repeats: int) -> float:
    """Median milliseconds of calls with 0, 1, 2 ..."""
    times = []
    for i in range(repeats):
        start = time.perf_counter()
        function(i)
        times.append(1e3 * (time.perf_counter() - start))
    return round(statistics.median(times), 4)


def reading(directory: Path) -> dict[str, Any]:
    """Opening, and an episode's sampling against miniImageNet's; in turns."""
    where = "tiered-imagenet", "train", directory, known_datasets()
    opened = median_ms(lambda _: open_source(*where), 5)
    tiered = open_source(*where).class_sizes
    mini, shape = np.full(64, 600), EpisodeShape(5, 5, 15)

    def sampling_ms(sizes: np.ndarray) -> float:
        return median_ms(lambda i: draw_episode(0, "train", i, sizes, shape), 2000)

    rounds = [(sampling_ms(mini), sampling_ms(tiered)) for _ in range(5)]
    mini_ms, tiered_ms = (statistics.median(column) for column in zip(*rounds, strict=True))
    return {"open_ms": opened, "episode_ms": tiered_ms, "mini_imagenet_episode_ms": mini_ms}


def trainings(directory: Path, memory_gb: float) -> dict[str, Any]:
    """Half a minute of training of each learner, in a process of its own."""
    out = {}
    for name in ("protonet", "mtl"):
        command = [sys.executable, "-c", TRAIN, name, directory, str(memory_gb)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        out[name] = json.loads(done.stdout.splitlines()[-1])
    return out


def main() -> None:
    """Make the source, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of the images")
    parser.add_argument("--memory-gb", type=float, default=1.0, help="for images, in training")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    sizes, source = class_sizes(args.share), args.folder / "train.tar"
    if not source.exists():
        make_source(source, sizes)
    report: dict[str, Any] = {"source_mb": source.stat().st_size >> 20}

    def show(name: str, values: dict[str, Any]) -> None:
        report[name] = values
        print(name, json.dumps(values), flush=True)
        if args.json:
            args.json.write_text(json.dumps(report, indent=1) + "\n")

    import torch  # after the imports were measured: processes are forked before

    show("import", imports(source, args.folder, sizes))
    show("reading", reading(args.folder / "data"))
    trained = trainings(args.folder / "data", args.memory_gb)
    show("training", {"memory_gb": args.memory_gb, **trained})
    show("resumed", resumed(source, args.folder, sizes))
    from fewshot import machine

    show("host", machine.describe(torch.device("cpu")))
    show("git", machine.git_state() or {})


if __name__ == "__main__":
    main()
