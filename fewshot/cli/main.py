"""The commands: they parse, call and print. Results on standard output, all else on error.

torch is imported only inside the commands that need it, so that the others start at once.
"""

import os
import shutil
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from tqdm import tqdm

from fewshot import __version__
from fewshot.errors import UserError

if TYPE_CHECKING:
    import torch

    from fewshot.runner.cells import Cell
    from fewshot.runner.workspace import Workspace

app = typer.Typer(
    help="Few-shot learners: accuracy with intervals, and what it costs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Import, fetch and describe data sets.", no_args_is_help=True)
app.add_typer(data_app, name="data")

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Where images are kept \\[default: $FEWSHOT_DATA or user cache]."),
]


class Listing(StrEnum):
    """What can be listed."""

    learners = "learners"
    backbones = "backbones"
    datasets = "datasets"
    benchmarks = "benchmarks"


class TableFormat(StrEnum):
    """How a table can be written."""

    text = "text"
    md = "md"
    latex = "latex"
    csv = "csv"
    json = "json"


class CompareFormat(StrEnum):
    """How a comparison can be written."""

    text = "text"
    md = "md"
    json = "json"


class Over(StrEnum):
    """What an interval is over."""

    episodes = "episodes"
    seeds = "seeds"
    data = "data"


class Part(StrEnum):
    """The splits of a data set."""

    train = "train"
    val = "val"
    test = "test"


FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="A folder of cells.")]


def main() -> None:
    """Entry point: a user's mistake is one line and exit code 2."""
    try:
        app()
    except UserError as error:
        say(f"error: {error}")
        sys.exit(2)


def say(line: str) -> None:
    """Anything that is not a result; a progress bar, if there is one, moves out of the way."""
    tqdm.write(line, file=sys.stderr)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Few-shot learners: accuracy with intervals, and what it costs."""
    if show:
        print(__version__)
        raise typer.Exit


@app.command("list")
def list_names(what: Listing) -> None:
    """List learners, backbones, datasets or benchmarks, a name and a line on each."""
    if what is Listing.datasets:
        from fewshot.data import DATASETS

        described = {name: source.description for name, source in DATASETS.items()}
    elif what is Listing.benchmarks:
        from fewshot.runner.benchmark_file import shipped_benchmarks

        described = {name: _first_comment(text) for name, text in shipped_benchmarks().items()}
    else:
        from fewshot.backbones import BACKBONES
        from fewshot.learners.registry import known_learners

        classes = known_learners() if what is Listing.learners else BACKBONES
        described = {name: _first_line(cls.__doc__) for name, cls in classes.items()}
    width = max(map(len, described))
    for name, description in described.items():
        print(f"{name:{width}}  {description}")


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0] if text else ""


def _first_comment(text: str) -> str:
    return text.splitlines()[0].lstrip("# ") if text.startswith("#") else ""


@app.command()
def run(
    benchmark: Annotated[str, typer.Argument(help="A shipped name or a TOML file.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value over every training.")
    ] = None,
    learner: Annotated[
        str | None, typer.Option(help="Only this learner's cells: a name, or FILE.py:CLASS.")
    ] = None,
    results: Annotated[Path, typer.Option(help="Where results are kept.")] = Path("results"),
    data: DataOption = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ... or auto.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads \\[all cores].")] = None,
    image_memory: Annotated[
        float | None,
        typer.Option(min=0, metavar="GB", help="Of images at once \\[half of all]."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the cells and their cost here, run none.")
    ] = False,
    train_only: Annotated[
        bool, typer.Option("--train-only", help="Validate, but leave the test classes unscored.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Run finished cells again.")] = False,
) -> None:
    """Train and score what is missing of a benchmark, then print its table.

    Cells whose data sets are not there are left out, and named.
    """
    from fewshot.data import data_dir
    from fewshot.learners.registry import known_learners, with_learner
    from fewshot.machine import keep_freed_memory
    from fewshot.reporting.tables import render
    from fewshot.results.files import read_cells
    from fewshot.runner.benchmark_file import load_cells
    from fewshot.runner.run import choose_device, run_cells
    from fewshot.runner.validate import check_cells
    from fewshot.runner.workspace import Workspace, missing_data, part_cells

    name, learners = with_learner(learner) if learner else (None, known_learners())
    cells = load_cells(benchmark, settings or [], name, learners)
    place = Workspace(results, data_dir(data), learners, image_memory)
    torch_device = choose_device(device, threads)
    keep_freed_memory()
    if dry_run:
        runnable = [cell for cell in cells if not missing_data(cell, place.data_dir)]
        for warning in check_cells(runnable, place.data_dir, learners):
            say(warning)
        _print_forecast(cells, place, torch_device, force)
        return
    parts = part_cells(cells, place)
    missing = parts.missing(place.data_dir)
    for data_set in missing:
        say(f"left out, not here: {data_set}")
    for warning in check_cells(parts.runnable, place.data_dir, learners):
        say(warning)
    try:
        summary = run_cells(parts.runnable, place, torch_device, say, force, train_only)
    except KeyboardInterrupt:
        say("interrupted; run the same command again to go on")
        raise typer.Exit(130) from None
    if skipped := len(summary.skipped) + len(parts.done):
        say(f"{skipped} of {len(cells)} cells were already done")
    if missing:
        say(f"{len(parts.holes)} of {len(cells)} cells wait for data: {', '.join(missing)}")
    if summary.failed:
        say(f"{len(summary.failed)} cells failed: {', '.join(summary.failed)}")
    finished = {place.cell_folder(cell) for cell in cells}
    if not train_only and len(summary.failed) < len(cells) - len(parts.holes):
        shown = [c for c in read_cells(results / cells[0].benchmark) if c.path in finished]
        print(render(shown, "text", _terminal_width(), colour=_in_colour()), end="")
    if summary.failed:
        raise typer.Exit(1)


def _print_forecast(
    cells: "list[Cell]", place: "Workspace", device: "torch.device", force: bool
) -> None:
    from fewshot.runner.dry_run.estimate import forecast, lines_of
    from fewshot.runner.dry_run.throughput import Rates

    say("counting operations, and timing the backbones here for some seconds")
    found = forecast(cells, place, device, force, Rates(device).of)
    print("\n".join(lines_of(found, device)))


@app.command()
def table(
    folder: FolderArgument,
    form: Annotated[TableFormat, typer.Option("--format")] = TableFormat.text,
    interval: Annotated[Over, typer.Option(help="What ± is over.")] = Over.episodes,
    published: Annotated[
        bool, typer.Option("--published", help="Beside each, what others published.")
    ] = False,
    columns: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Which, in what order: docs/tables.md.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option(help="A column, as learner, 5w1s or training \\[the last score].")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE,...", help="Only these cells, as learner=mtl,maml."),
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Under headings: backbone, dataset, learner or protocol.")
    ] = None,
    target: Annotated[
        float | None,
        typer.Option(help="Validation accuracy to reach, as 0.65 \\[that of the benchmark]."),
    ] = None,
) -> None:
    """The table of all cells below a folder."""
    from fewshot.reporting.tables import View, render
    from fewshot.results.files import read_cells

    chosen = None if columns is None else tuple(name.strip() for name in columns.split(","))
    view = View(chosen, sort, tuple(where or ()), group, target)
    width, colour = _terminal_width(), _in_colour()
    shown = render(read_cells(folder), form.value, width, interval.value, published, view, colour)
    print(shown, end="")


@app.command()
def compare(
    folder: FolderArgument,
    a: Annotated[str | None, typer.Argument(help="A row: learner or cell id.")] = None,
    b: Annotated[str | None, typer.Argument(help="The row to hold it against.")] = None,
    form: Annotated[CompareFormat, typer.Option("--format")] = CompareFormat.text,
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Compare across protocols, and say so.")
    ] = False,
) -> None:
    """Is the difference real? Two rows, or all pairs, over the same episodes."""
    from fewshot.reporting.comparison import render
    from fewshot.results.comparison import compare as compare_rows
    from fewshot.results.files import read_cells

    if (a is None) != (b is None):
        raise UserError("name two rows, or none for all pairs")
    found = compare_rows(read_cells(folder), a, b, allow_mixed)
    if a is not None and all(c.refused for c in found):
        raise UserError(
            f"{found[0].a} and {found[0].b} have different protocols "
            f"({'; '.join(found[0].refused)}): --allow-mixed compares them all the same"
        )
    print(render(found, form.value, _terminal_width()), end="")


@app.command()
def check(
    learner: Annotated[str, typer.Argument(help="A name, or FILE.py:CLASS.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="option=value of the learner.")
    ] = None,
    backbone: Annotated[str, typer.Option(help="What it is checked on.")] = "conv4",
) -> None:
    """Does a learner keep to its contract? Exit code 1 if not."""
    from fewshot.reporting.grid import Grid
    from fewshot.runner.conformance.outcomes import run_checks
    from fewshot.runner.conformance.subject import make_subject

    outcomes = run_checks(make_subject(learner, backbone, settings or []), say=say)
    lines = [[o.name, o.verdict, o.message, f"{o.seconds:.1f} s"] for o in outcomes]
    counted = [o.verdict for o in outcomes]
    footer = ", ".join(f"{counted.count(v)} {v}" for v in dict.fromkeys(counted))
    print(Grid(["check", "", "", "time"], lines, footer).text(_terminal_width()), end="")
    if "failed" in counted:
        raise typer.Exit(1)


def _terminal_width() -> int | None:
    """Columns of the terminal; None in a pipe, where lines may be as long as they are."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _in_colour() -> bool:
    """Whether standard output is a terminal whose user does not object (no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


@app.command()
def doctor(data: DataOption = None) -> None:
    """Versions, machine, data present and optional parts with the command that installs each."""
    from fewshot.cli.doctor import report

    print(report(data))


@app.command()
def plot(
    folder: FolderArgument,
    out: Annotated[Path, typer.Option(help="Where the figures go.")] = Path("figures"),
    form: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    target: Annotated[
        float | None,
        typer.Option(
            help="Validation accuracy to reach, as 0.6 \\[of the benchmark; else of the weakest]."
        ),
    ] = None,
    only: Annotated[str | None, typer.Option(help="One figure's name, such as pareto.")] = None,
) -> None:
    """Figures of all cells below a folder; prints the files, one a line."""
    from fewshot.reporting.plots import draw_figures
    from fewshot.results.files import read_cells

    for path in draw_figures(read_cells(folder), out, form, target, only, say):
        print(path)


@app.command()
def report(
    folder: FolderArgument,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    data: DataOption = None,
) -> None:
    """All cells below a folder as one interactive HTML page; prints its file.

    The page needs no network. Episodes are shown of the data sets whose images are there.
    """
    from fewshot.data import data_dir
    from fewshot.reporting.html import write_report
    from fewshot.results.files import read_cells

    write_report(read_cells(folder), out, data_dir(data))
    print(out)


@app.command()
def episodes(
    name: Annotated[str, typer.Argument(help="A data set: see `list datasets`.")],
    out: Annotated[Path, typer.Option(help="Ends in .png, .svg or .pdf.")] = Path("episodes.png"),
    split: Annotated[Part, typer.Option(help="Whose classes.")] = Part.train,
    count: Annotated[int, typer.Option("--episodes", min=1, help="How many, from the first.")] = 2,
    way: Annotated[int, typer.Option(min=1, help="Classes.")] = 5,
    shot: Annotated[int, typer.Option(min=1, help="Support images a class.")] = 5,
    query: Annotated[int, typer.Option(min=1, help="Query images a class.")] = 15,
    seed: Annotated[int, typer.Option(min=0, help="As scoring.episode_seed.")] = 0,
    data: DataOption = None,
) -> None:
    """The first episodes of a data set as one picture; prints its file."""
    from fewshot.data import data_dir, dataset_info
    from fewshot.episodes.sampling import EpisodeShape
    from fewshot.reporting.episode_picture import open_classes, write_episodes

    dataset_info(name, data_dir(data))  # draws glyphs, and says how to get what is not there
    classes = open_classes(name, split.value, data_dir(data))
    write_episodes(classes, EpisodeShape(way, shot, query), seed, count, out)
    print(out)


@data_app.command("import")
def data_import(
    name: str,
    source: Annotated[Path, typer.Argument(help="A folder, zip, tar or file, of any known form.")],
    data: DataOption = None,
    size: Annotated[int | None, typer.Option(min=8, help="Edge in pixels, if another.")] = None,
    resample: Annotated[
        str | None, typer.Option(help="How images of another size are changed: lanczos, ...")
    ] = None,
    lists: Annotated[
        Path | None, typer.Option(help="Folder of train.csv, val.csv, test.csv naming images.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Own folders: TRAIN/VAL/TEST shares or a TOML file."),
    ] = None,
) -> None:
    """Pack images into a store; the form they are in is recognised by their files' names."""
    from fewshot.data import data_dir, dataset_info, import_dataset

    import_dataset(
        name,
        source,
        data_dir(data),
        size=size,
        split=split,
        resample=resample,
        lists=lists,
        say=say,
    )
    _print_info(dataset_info(name, data_dir(data)))


@data_app.command("fetch")
def data_fetch(name: str, data: DataOption = None) -> None:
    """Download a data set from the first mirror that has it, and import it."""
    from fewshot.data import data_dir, dataset_info, fetch_dataset

    fetch_dataset(name, data_dir(data), say)
    _print_info(dataset_info(name, data_dir(data)))


@data_app.command("verify")
def data_verify(name: str, data: DataOption = None) -> None:
    """Read every image of a store again and compare with its fingerprint."""
    from fewshot.data import data_dir, verify_dataset

    verify_dataset(name, data_dir(data))
    print(f"{name}: every image is as it was imported")


@data_app.command("info")
def data_info(
    name: Annotated[str | None, typer.Argument()] = None, data: DataOption = None
) -> None:
    """What is in the store of a data set, or of all."""
    from fewshot.data import available, data_dir, dataset_info

    names = [name] if name else available(data_dir(data))
    if not names:
        say(f"no data sets in {data_dir(data)}")
    for each in names:
        _print_info(dataset_info(each, data_dir(data)))


def _print_info(info: dict[str, object]) -> None:
    width = max(map(len, info))
    for key, value in info.items():
        if isinstance(value, dict):
            value = ", ".join(f"{part} {count}" for part, count in value.items())
        print(f"{key:{width}}  {value}")


if __name__ == "__main__":
    main()
