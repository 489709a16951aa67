"""Folders that appear whole or not at all, and are written by one process at a time."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from fewshot.errors import UserError


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder under a temporary name, which takes the place of `path` if all goes well.

    Raises UserError when the disk refuses; whatever goes wrong, what stood at `path` stays.
    """
    temporary = path.parent / f".{path.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        temporary.mkdir(parents=True)
        yield temporary
        _replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path}: cannot write ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def resumed_folder(path: Path, journal: str) -> Iterator[Path]:
    """As `new_folder`, but of a fixed name, and kept for the next try if it holds a file `journal`.

    The next try is handed the folder as it was left; `journal` is removed when all goes well.
    """
    partial = path.parent / f".{path.name}.partial"
    try:
        partial.mkdir(parents=True, exist_ok=True)
        yield partial
        (partial / journal).unlink(missing_ok=True)
        _replace(partial, path)
    except OSError as error:
        raise UserError(f"{path}: cannot write ({error.strerror or error})") from error
    finally:
        if not (partial / journal).is_file():
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Wait until no other process writes `path`, and clear what a killed one left behind.

    Raises UserError when the folder above cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.parent / f".{path.name}.lock")
        lock.acquire()
    except OSError as error:
        raise UserError(f"{path.parent}: cannot write ({error.strerror or error})") from error
    try:
        for leftover in path.parent.glob(f".{path.name}.tmp-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield
    finally:
        lock.release()


def _replace(new: Path, path: Path) -> None:
    """Put `new` in the place of `path`; a folder that stood there comes back if that fails."""
    old = new.with_name(new.name + "-old")
    replaces = path.exists()
    if replaces:
        path.rename(old)
    try:
        new.rename(path)
    except BaseException:
        if replaces:
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
