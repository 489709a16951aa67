"""`fewshot table`, `compare`, `plot` and `report`: finished cells as a reader wants them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fewshot.cli.shared import DataOption, FolderArgument, in_colour, say, terminal_width
from fewshot.errors import UserError

TableFormat = Literal["text", "md", "latex", "csv", "json"]
CompareFormat = Literal["text", "md", "json"]
Over = Literal["episodes", "seeds", "data"]


def table(
    folder: FolderArgument,
    form: Annotated[TableFormat, typer.Option("--format")] = "text",
    interval: Annotated[Over, typer.Option(help="What ± is over.")] = "episodes",
    published: Annotated[
        bool, typer.Option("--published", help="Beside each, what others published.")
    ] = False,
    columns: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Which, in what order: docs/tables.md.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option(help="A column, as learner, 5w1s or training [the last score].")
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
        typer.Option(help="Validation accuracy to reach, as 0.65 [that of the benchmark]."),
    ] = None,
) -> None:
    """Print the table of all cells below a folder."""
    import fewshot

    shown = fewshot.table(
        folder,
        form=form,
        interval=interval,
        published=published,
        columns=None if columns is None else [name.strip() for name in columns.split(",")],
        sort=sort,
        where=where or [],
        group=group,
        target=target,
        width=terminal_width(),
        colour=in_colour(),
    )
    print(shown, end="")


def compare(
    folder: FolderArgument,
    a: Annotated[str | None, typer.Argument(help="A row: learner or cell id.")] = None,
    b: Annotated[str | None, typer.Argument(help="The row to hold it against.")] = None,
    form: Annotated[CompareFormat, typer.Option("--format")] = "text",
    allow_mixed: Annotated[
        bool, typer.Option("--allow-mixed", help="Compare across protocols, and say so.")
    ] = False,
) -> None:
    """Is the difference real? Two rows, or all pairs, over the same episodes."""
    import fewshot
    from fewshot.reporting.comparison import render

    found = fewshot.compare(folder, a, b, allow_mixed=allow_mixed)
    if a is not None and all(c.refused for c in found):
        raise UserError(
            f"{found[0].a} and {found[0].b} have different protocols "
            f"({'; '.join(found[0].refused)}): --allow-mixed compares them all the same"
        )
    print(render(found, form, terminal_width()), end="")


def plot(
    folder: FolderArgument,
    out: Annotated[Path, typer.Option(help="Where the figures go.")] = Path("figures"),
    form: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    target: Annotated[
        float | None,
        typer.Option(
            help="Validation accuracy to reach, as 0.6 [of the benchmark; else of the weakest]."
        ),
    ] = None,
    only: Annotated[str | None, typer.Option(help="One figure's name, such as pareto.")] = None,
) -> None:
    """Draw the figures of all cells below a folder; prints the files, one a line."""
    import fewshot

    for path in fewshot.plot(folder, out, form=form, target=target, only=only, say=say):
        print(path)


def report(
    folder: FolderArgument,
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    data: DataOption = None,
) -> None:
    """Write all cells below a folder as one interactive HTML page; prints its file.

    The page needs no network. Episodes are shown of the data sets whose images are there.
    """
    import fewshot

    print(fewshot.report(folder, out, data=data))
