"""Fixtures that several tests share."""

# First of all: torch counts its threads when it is imported.
import helpers.environment  # noqa: F401

# isort: split

import gc
import os
import shutil
import sys
from types import SimpleNamespace

import pytest
import torch
from helpers.checkout import NO_GIT, tracked
from helpers.learners import EXAMPLE
from helpers.paths import ROOT
from helpers.sources import make_source

from fewshot.cli import main
from fewshot.episodes.source import EpisodeSource

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def pytest_collection_finish():
    """Leave what is imported by now out of every collection of garbage: it makes them four times
    as fast, and checks that look for tensors among all objects collect again and again.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def committed_results(tmp_path_factory):
    """A copy of `results/` with what is committed there, and nothing that a user has run since."""
    files = tracked("results")
    if not files:
        pytest.skip(NO_GIT)
    folder = tmp_path_factory.mktemp("committed")
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, folder / file)
    return folder / "results"


@pytest.fixture
def time(monkeypatch):
    """A training clock that moves when a test says so: powers of two, so that sums are exact."""
    time = SimpleNamespace(now=64.0)
    monkeypatch.setattr(
        "fewshot.harness.clock.time", SimpleNamespace(perf_counter=lambda: time.now)
    )
    return time


@pytest.fixture
def fewshot(monkeypatch, capsys):
    """Run a command as a shell would: its exit code, standard output and standard error."""

    def fewshot(*arguments):
        monkeypatch.setattr(sys, "argv", ["fewshot", *map(str, arguments)])
        capsys.readouterr()
        try:
            main.main()
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


@pytest.fixture
def mine(tmp_path):
    """The learner of the documentation, in a file of its own."""
    path = tmp_path / "matching.py"
    path.write_text(EXAMPLE)
    return path
