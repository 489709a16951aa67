"""The command `fewshot`: results on standard output, all else on standard error.

Each command imports what it needs when it runs, so that all of them start at once.
"""

import sys
from typing import Annotated, Literal

import typer

from fewshot import __version__
from fewshot.cli.data import data_app, episodes
from fewshot.cli.doctor import doctor
from fewshot.cli.results import compare, plot, report, table
from fewshot.cli.run import run
from fewshot.cli.shared import say, terminal_width
from fewshot.errors import UserError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # a help page that looks richer takes twice as long
)


def main() -> None:
    """Run the command; a user's mistake is one line and exit code 2."""
    try:
        app()
    except UserError as error:
        say(f"error: {error}")
        sys.exit(2)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Few-shot learners: accuracy with intervals, and what it costs."""
    if show:
        print(__version__)
        raise typer.Exit


@app.command("list")
def list_names(what: Literal["learners", "backbones", "datasets", "benchmarks"]) -> None:
    """List learners, backbones, datasets or benchmarks, a name and a line on each."""
    import fewshot

    if what == "benchmarks":
        from fewshot.runner.benchmark_file import list_benchmarks

        described = list_benchmarks()
    else:
        described = getattr(fewshot, f"list_{what}")()
    width = max(map(len, described))
    for name, description in described.items():
        print(f"{name:{width}}  {description}")


@app.command()
def check(
    learner: Annotated[str, typer.Argument(help="A name, or FILE.py:CLASS.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="option=value of the learner.")
    ] = None,
    backbone: Annotated[
        str, typer.Option(help="The backbone it is checked on: a name, or FILE.py:CLASS.")
    ] = "conv4",
) -> None:
    """Does a learner keep to its contract? Exit code 1 if not."""
    import fewshot
    from fewshot.reporting.grid import Grid

    outcomes = fewshot.check(learner, backbone=backbone, settings=settings or [], say=say)
    lines = [[o.name, o.verdict, o.message, f"{o.seconds:.1f} s"] for o in outcomes]
    counted = [o.verdict for o in outcomes]
    footer = ", ".join(f"{counted.count(v)} {v}" for v in dict.fromkeys(counted))
    print(Grid(["check", "", "", "time"], lines, footer).text(terminal_width()), end="")
    if "failed" in counted:
        raise typer.Exit(1)


app.add_typer(data_app, name="data")
for command in (run, table, compare, plot, report, episodes, doctor):
    app.command()(command)
