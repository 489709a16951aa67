"""A whole benchmark by its name: read, checked, run, and its cells read back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from fewshot import machine
from fewshot.errors import UserError
from fewshot.options import is_in_file
from fewshot.results.files import is_complete, read_cell
from fewshot.results.frame import Results
from fewshot.runner.benchmark_file import (
    find_benchmark,
    parse_benchmark,
    parse_document,
)
from fewshot.runner.cells import Cell
from fewshot.runner.dry_run.estimate import Forecast, forecast
from fewshot.runner.dry_run.throughput import Rates
from fewshot.runner.run import Summary, choose_device, run_cells
from fewshot.runner.settings import Settings, parse_settings, renamed
from fewshot.runner.validate import check_cells
from fewshot.runner.workspace import REGISTRIES, Workspace, open_workspace, part_cells

Say = Callable[[str], None]


@dataclass(frozen=True)
class Benchmark:
    """The cells of a benchmark, and a workspace that knows every class that they name."""

    cells: list[Cell]
    workspace: Workspace

    def results(self) -> Results:
        """Return its finished cells, in the order of their folders."""
        folders = sorted(self.workspace.cell_folder(cell) for cell in self.cells)
        return Results(read_cell(folder) for folder in folders if is_complete(folder))

    def check(self, cells: Sequence[Cell], say: Say) -> None:
        """Raise UserError for the first mistake in these cells, and tell `say` the warnings."""
        for warning in check_cells(cells, self.workspace):
            say(warning)

    def forecast(
        self, device: str, threads: int | None, force: bool, say: Say
    ) -> tuple[list[Forecast], torch.device]:
        """Return what a run would do with each cell, what that would cost here, and where."""
        on = choose_device(device, threads)
        machine.keep_freed_memory()
        self.check([c for c in self.cells if not self.workspace.missing_data(c)], say)
        say("counting operations, and timing the backbones here for some seconds")
        return forecast(self.cells, self.workspace, force, Rates(on).of), on

    def run(
        self, device: str, threads: int | None, force: bool, train_only: bool, say: Say
    ) -> Summary:
        """Train and score what is missing, and tell `say` of it; cells without data are left out.

        Raises UserError for a mistake in the benchmark, and where no cell has its data.
        """
        on = choose_device(device, threads)
        machine.keep_freed_memory()
        parts = part_cells(self.cells, self.workspace)
        for data_set in parts.missing:
            say(f"left out, not here: {data_set}")
        self.check(parts.runnable, say)
        summary = run_cells(parts.runnable, self.workspace, on, say, force, train_only)
        n_cells = len(self.cells)
        if skipped := len(summary.skipped) + len(parts.done):
            say(f"{skipped} of {n_cells} cells were already done")
        if parts.missing:
            names = ", ".join(parts.missing)
            say(f"{len(parts.holes)} of {n_cells} cells wait for data: {names}")
        if summary.failed:
            say(f"{len(summary.failed)} cells failed: {', '.join(summary.failed)}")
        return summary


def open_benchmark(
    benchmark: Path | str,
    workspace: Workspace,
    settings: Settings = (),
    learner: str | None = None,
    backbone: str | None = None,
) -> Benchmark:
    """Return the cells of a shipped benchmark or a TOML file, and the workspace with its classes.

    settings: over every training. learner, backbone: a name or FILE.py:CLASS; only cells with it,
    as `parse_benchmark` says. A FILE that the TOML file or a setting names is looked for beside the
    TOML file first.
    Raises UserError for names that nobody knows, and whatever `parse_benchmark` finds.
    """
    name, text, folder = find_benchmark(benchmark)

    def include(key: str, spec: str) -> str:
        nonlocal workspace
        included, workspace = workspace.include(key, spec)
        return included

    def name_of(key: str, spec: str) -> str:
        """Return the name of a FILE.py:CLASS, its file in `folder` where there is such a file."""
        if key not in REGISTRIES or not is_in_file(spec):
            return spec
        beside = str(folder / spec)
        is_there = Path(beside.rpartition(":")[0]).is_file()
        return include(key, beside if is_there else spec)

    document = renamed(parse_document(name, text), name_of)
    overrides = renamed(parse_settings(settings), name_of)
    learner = include("learner", learner) if learner is not None else None
    backbone = include("backbone", backbone) if backbone is not None else None
    cells = parse_benchmark(name, document, workspace.configs, overrides, learner, backbone)
    return Benchmark(cells, workspace)


def load_benchmark(
    benchmark: Path | str,
    *,
    settings: Settings = (),
    learner: str | None = None,
    backbone: str | None = None,
) -> list[Cell]:
    """Return the cells of a shipped benchmark or of a TOML file; runs nothing.

    settings, learner, backbone: as in `run`.
    Raises UserError for names that nobody knows, unknown keys and values out of range.
    """
    return open_benchmark(benchmark, open_workspace("."), settings, learner, backbone).cells


def run(
    benchmark: Path | str,
    *,
    settings: Settings = (),
    learner: str | None = None,
    backbone: str | None = None,
    results: Path | str = "results",
    data: Path | str | None = None,
    device: str = "auto",
    threads: int | None = None,
    memory_gb: float | None = None,
    train_only: bool = False,
    force: bool = False,
    say: Say = print,
) -> Results:
    """Train and score what is missing of a benchmark, and return its finished cells.

    benchmark: a shipped name or a TOML file. settings: `{"recipe.lr": 0.1}`, over every training.
    learner, backbone: a name or FILE.py:CLASS; only cells with it. results, data: the folders of
    results and of images ($FEWSHOT_DATA, or the user's cache). memory_gb: how much of the images
    may be held at once. train_only: validate, but score no test class. force: finished cells are
    run again. say: hears of progress, of cells that fail, and of those without data.
    Raises UserError for a mistake, and where no cell is finished but some were to be scored.
    """
    workspace = open_workspace(results, data, memory_gb)
    opened = open_benchmark(benchmark, workspace, settings, learner, backbone)
    opened.run(device, threads, force, train_only, say)
    found = opened.results()
    if not found and not train_only:
        raise UserError(f"{benchmark}: no cell is finished")
    return found
