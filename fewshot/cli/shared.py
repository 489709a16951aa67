"""Options that several commands have, and where their words go."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Where images are kept [default: $FEWSHOT_DATA or user cache]."),
]
FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="A folder of cells.")]


def say(line: str) -> None:
    """Print what is no result; a progress bar, if there is one, moves out of the way."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)


def terminal_width() -> int | None:
    """Return the columns of the terminal; None in a pipe, where lines are as long as they are."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def in_colour() -> bool:
    """Say whether standard output is a terminal whose user does not object (no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain
