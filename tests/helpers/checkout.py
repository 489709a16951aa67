"""The files that git tracks here; all else in a checkout that has been used is its user's own."""

import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from helpers.paths import ROOT

NO_GIT = "git tracks no files here: not a checkout, or no git"


@cache
def tracked(folder: str) -> tuple[Path, ...]:
    """Return the tracked files below a folder of the checkout, relative to it; none without git."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--", folder]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ()
    return tuple(Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file())


def shipped(names: Iterable[str]) -> list[str]:
    """Return the names of benchmarks that git tracks, of all that lie there; all without git."""
    files = {file.stem for file in tracked("benchmarks") if len(file.parts) == 2}
    return sorted(name for name in names if name in files or not files)
