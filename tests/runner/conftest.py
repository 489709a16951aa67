"""A tiny benchmark, its data and a finished run of it."""

import pytest
from helpers.runs import go
from helpers.tiny import BENCHMARK, write_near, write_tiny

from fewshot.runner.benchmark import load_benchmark


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """The cells of a benchmark's text."""
    file = tmp_path_factory.mktemp("benchmarks") / "bench.toml"

    def load(text=BENCHMARK, *settings):
        file.write_text(text)
        return load_benchmark(str(file), settings=settings)

    return load


@pytest.fixture(scope="module")
def finished(tmp_path_factory, data, load):
    """A results folder of a run that nothing disturbed; read it, don't write it."""
    results = tmp_path_factory.mktemp("finished")
    summary = go(load(), results, data)
    assert len(summary.done) == 6
    return results


@pytest.fixture
def both(tmp_path):
    """A data folder with `tiny` and `near`."""
    return write_near(write_tiny(tmp_path / "data"))
