"""What several tests share: a small data set of easy images, and cells, made in memory."""

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from fewshot import cli
from fewshot.backbones import Conv4
from fewshot.backbones.norm import BatchNorm
from fewshot.config import Cell, Recipe, Scoring, Training
from fewshot.learners import LEARNERS
from fewshot.protocols import EpisodeSource, Learner
from fewshot.results import CellResult
from fewshot.sampling import Split

IMAGE_SIZE = 16


def make_source(
    split: Split = "test",
    n_classes: int = 8,
    per_class: int = 30,
    noise: float = 40,
    seed: int = 0,
) -> EpisodeSource:
    """Classes that differ in their mean image, in noise; each split has other means."""
    rng = np.random.default_rng([seed, len(split)])
    shape = (IMAGE_SIZE, IMAGE_SIZE, 3)
    means = rng.uniform(60, 190, (n_classes, 1, *shape))
    pixels = means + noise * rng.standard_normal((n_classes, per_class, *shape))
    images_IHWC = np.clip(pixels, 0, 255).astype(np.uint8).reshape(-1, *shape)
    return EpisodeSource(
        dataset="made",
        split=split,
        images_IHWC=images_IHWC,
        class_names=tuple(f"class-{c}" for c in range(n_classes)),
        class_starts=np.arange(n_classes) * per_class,
        class_sizes=np.full(n_classes, per_class),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        fingerprint="made",
    )


def some_classes(whole: EpisodeSource, classes: list[int]) -> tuple[EpisodeSource, np.ndarray]:
    """A source of these classes alone, and the images with noise in place of all other classes."""
    source = replace(
        whole,
        class_names=tuple(whole.class_names[c] for c in classes),
        class_starts=whole.class_starts[classes],
        class_sizes=whole.class_sizes[classes],
    )
    noise = np.random.default_rng(0).integers(0, 256, whole.images_IHWC.shape, dtype=np.uint8)
    noise[source.rows] = whole.images_IHWC[source.rows]
    return source, noise


@pytest.fixture
def time(monkeypatch):
    """A training clock that moves when a test says so: powers of two, so that sums are exact."""
    time = SimpleNamespace(now=64.0)
    monkeypatch.setattr("fewshot.clock.time", SimpleNamespace(perf_counter=lambda: time.now))
    return time


def small_learner(name: str, n_classes: int, filters: int = 4, **options: object) -> Learner:
    """An untrained learner on a small Conv4, with the batch norm that it asks for."""
    torch.manual_seed(0)
    cls = LEARNERS[name]
    norm = BatchNorm if cls.differentiable_norm else nn.BatchNorm2d
    backbone = Conv4(Conv4.Config(filters), IMAGE_SIZE, norm=norm)
    return cls(backbone, cls.Config(**options), n_classes)


def ways_of(name: str, n_way: int) -> dict[str, int]:
    """The option that says how many rows a head has, for the learners that fix it."""
    return {"n_way": n_way} if LEARNERS[name].label_tied else {}


PROTOCOL = {
    "transductive": False,
    "batch_norm": "running",
    "support_copies": 0,
    "training_classes": "train",
    "selection": "best",
    "pretraining": None,
    "precision": "fp32",
}


@dataclass(frozen=True)
class Options:
    """Options of a learner or backbone."""

    c: float = 1.0


def made_cell(
    learner="protonet",
    *accuracies,
    backbone="conv4",
    dataset="made",
    n_way=5,
    n_shot=5,
    seed=0,
    c=1.0,
    label="",
    trained=True,
    transductive=False,
    train_s=90.0,
    fingerprint="images-0",
    digest="episodes-0",
    gpu=None,
    git=None,
    images=12345,
    disjoint=None,
    **protocol,
) -> CellResult:
    """A cell by hand, with the fields of run.json that tables read."""
    recipe = Recipe(steps=10)
    training = Training(dataset, backbone, Options(), learner, Options(c), recipe, seed)
    cell = Cell("bench", training, Scoring(n_way, n_shot), label)
    accuracies = accuracies or (0.5, 0.75, 0.25, 0.5)
    spent = {"steps": 10, "images": images, "train_s": train_s, "validate_s": 1.0, "seconds": {}}
    run = {
        "cell": cell.id,
        "config": cell.resolved(),
        "dataset": {"name": dataset, "fingerprint": fingerprint},
        "episodes_digest": digest,
        "protocol": {**PROTOCOL, "transductive": transductive, **protocol},
        "training": {"id": training.id, "spent": spent, "shared": False} if trained else None,
        "host": {"processor": "Abacus", "gpu": gpu, "threads": 2, "versions": {"torch": "2.6"}},
        "git": git,
    }
    episodes = pd.DataFrame(
        {"accuracy": accuracies, "nll": 1.0, "adapt_ms": 0.25, "predict_ms": 0.5}
    )
    apart = None if disjoint is None else pd.DataFrame({"accuracy": disjoint})
    return CellResult(Path("bench") / cell.id, run, episodes, apart)


@pytest.fixture
def fewshot(monkeypatch, capsys):
    """Run a command as a shell would: its exit code, standard output and standard error."""

    def fewshot(*arguments):
        monkeypatch.setattr(sys, "argv", ["fewshot", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        return code, *capsys.readouterr()

    return fewshot


@pytest.fixture
def source() -> EpisodeSource:
    return make_source()


@pytest.fixture
def cpu() -> torch.device:
    return torch.device("cpu")


def run_without_torch(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """`fewshot` in a process of its own, in which torch cannot be imported."""
    script = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['torchvision'] = None\n"
        "from fewshot.cli import main\n"
        f"sys.argv = {['fewshot', *map(str, arguments)]!r}\n"
        "main()\n"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def cost_of_command(*arguments: object) -> tuple[float, float, str]:
    """Processor seconds and peak memory (2^30 bytes) of `fewshot`, and what it printed."""
    script = (
        "import re, resource, sys\n"
        "from fewshot.cli import main\n"
        f"sys.argv = {['fewshot', *map(str, arguments)]!r}\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:  # with which every command ends\n"
        "    assert not end.code\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        # Not ru_maxrss, in which a new process inherits the peak of the one that started it.
        "peak = re.search(r'VmHWM:\\s*(\\d+) kB', open('/proc/self/status').read())\n"
        "print(used.ru_utime + used.ru_stime, int(peak[1]) / 2**20)\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, gigabytes = map(float, done.stdout.splitlines()[-1].split())
    return seconds, gigabytes, done.stdout
