"""A tiny benchmark, its data, and the command that runs it."""

import pytest
from helpers.tiny import SHORT, write_tiny


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("data"))


@pytest.fixture
def benchmark(tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(SHORT)
    return path


@pytest.fixture
def run(fewshot, benchmark, tmp_path, data):
    """`fewshot run` of the benchmark into tmp_path/results."""

    def run(*arguments):
        places = ("--results", tmp_path / "results", "--data", data, "--device", "cpu")
        return fewshot("run", benchmark, *places, *arguments)

    return run
