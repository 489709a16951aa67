"""Files and folders that appear whole or not at all, written by one process at a time."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from fewshot.errors import UserError


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name; the file written there takes the place of `path` if all goes well.

    Raises UserError when the disk refuses; whatever goes wrong, what stood at `path` stays.
    """
    temporary = path.with_name(path.name + ".new")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder, which takes the place of `path` if all goes well.

    Raises UserError when the disk refuses; whatever goes wrong, what stood at `path` stays.
    """
    temporary = path.parent / f".{path.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        temporary.mkdir(parents=True)
        yield temporary
        _replace(temporary, path)
    except OSError as error:
        raise _refused(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def resumed_folder(path: Path, journal: str) -> Iterator[Path]:
    """Yield a folder as `new_folder` does; one that holds a file `journal` outlives a failure.

    The next try is handed it as it was left; `journal` is removed when all goes well.
    """
    partial = path.parent / f".{path.name}.partial"
    try:
        partial.mkdir(parents=True, exist_ok=True)
        yield partial
        (partial / journal).unlink(missing_ok=True)
        _replace(partial, path)
    except OSError as error:
        raise _refused(path, error) from error
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
        raise _refused(path.parent, error) from error
    try:
        for leftover in path.parent.glob(f".{path.name}.tmp-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield
    finally:
        lock.release()


def _refused(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: cannot write ({error.strerror or error})")


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
