"""`fewshot run`: a benchmark, or what it would cost."""

from pathlib import Path
from typing import Annotated

import typer

from fewshot.cli.shared import DataOption, in_colour, say, terminal_width


def run(
    benchmark: Annotated[str, typer.Argument(help="A shipped name or a TOML file.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value over every training.")
    ] = None,
    learner: Annotated[
        str | None, typer.Option(help="Only this learner's cells: a name, or FILE.py:CLASS.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Only cells on this backbone: a name, or FILE.py:CLASS.")
    ] = None,
    results: Annotated[Path, typer.Option(help="Where results are kept.")] = Path("results"),
    data: DataOption = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ... or auto.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads [all cores].")] = None,
    image_memory: Annotated[
        float | None,
        typer.Option(min=0, metavar="GB", help="Of images at once [half of all]."),
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
    from fewshot.reporting.tables import render
    from fewshot.runner.benchmark import open_benchmark
    from fewshot.runner.dry_run.estimate import lines_of
    from fewshot.runner.workspace import open_workspace

    workspace = open_workspace(results, data, image_memory)
    opened = open_benchmark(benchmark, workspace, settings or [], learner, backbone)
    if dry_run:
        print("\n".join(lines_of(*opened.forecast(device, threads, force, say))))
        return
    try:
        failed = opened.run(device, threads, force, train_only, say).failed
    except KeyboardInterrupt:
        say("interrupted; run the same command again to go on")
        raise typer.Exit(130) from None
    if not train_only and (finished := opened.results()):
        print(render(finished, "text", terminal_width(), colour=in_colour()), end="")
    if failed:
        raise typer.Exit(1)
