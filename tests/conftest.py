"""Fixtures that several tests share."""

import sys
from types import SimpleNamespace

import pytest
import torch
from helpers.sources import make_source

from fewshot.cli import main
from fewshot.episodes.source import EpisodeSource


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
