"""The files of a source, be it a folder, a zip, a tar or a single file; nothing is extracted."""

import os
from collections.abc import Iterator
from pathlib import Path

from fewshot.data.untrusted.blobs import Blob, refuse_web_page, shown
from fewshot.data.untrusted.members import NO_ARCHIVE, Files, Table
from fewshot.data.untrusted.tars import (
    BLOCK,
    is_inner_tar,
    is_tar_header,
    open_tar,
    stem,
    tar_members,
)
from fewshot.data.untrusted.unpack import Scratch, unpacked
from fewshot.data.untrusted.zips import open_zip
from fewshot.errors import UserError

__all__ = ["Files", "open_files"]

ARCHIVES = {".zip", ".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar"}
COMPRESSED = {b"\x1f\x8b\x08": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}


def open_files(source: Path, scratch: Path | None = None) -> Files:
    """Return the files of a folder, a zip, a tar (also .gz, .bz2, .xz), or a single other file.

    A plain .tar inside a tar or a folder is seen as a folder. scratch: where what is compressed
    may be copied to, by default the system's folder for temporary files.
    Raises UserError when it is none of these, leads outside itself, or is damaged or a bomb.
    """
    if source.is_dir():
        return _open_folder(source)
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    blob = Blob.of_file(source)
    refuse_web_page(blob)
    head = blob.read(0, min(blob.size, BLOCK))
    suffix = source.suffix.lower()
    if suffix == ".zip" or (head.startswith((b"PK\3\4", b"PK\5\6")) and suffix != ".npz"):
        return open_zip(blob, source, scratch)
    for mark, method in COMPRESSED.items():
        if head.startswith(mark):
            copy = Scratch(scratch).copy(unpacked(blob, method), blob.name, blob.size)
            return open_tar(copy, source)
    if suffix == ".tar" or is_tar_header(head):
        return open_tar(blob, source)
    if suffix in ARCHIVES:
        raise UserError(f"{source}: {NO_ARCHIVE}")
    return Files(source, (source.name,), lambda _: Blob.of_file(source))


def _open_folder(root: Path) -> Files:
    """Return the files below a folder, with those of the tars among them.

    Each is opened when it is asked for, since a process may hold few open files at once.
    """
    table = Table(root, 3)
    tars: list[str] = []
    for name in _walk(root):
        if is_inner_tar(name):
            for member, start, size in tar_members(_open_below(root, name)):
                table.add(f"{stem(name)}/{member}", len(tars), start, size)
            tars.append(name)
        else:
            table.add(name, -1, 0, 0)
    names, (tar_of, starts, sizes) = table.sorted()

    def blob(index: int) -> Blob:
        if tar_of[index] < 0:
            return _open_below(root, names[index])
        tar = _open_below(root, tars[tar_of[index]])
        return tar.part(starts[index], sizes[index], shown(str(root / names[index])))

    return Files(root, names, blob)


def _open_below(root: Path, name: str) -> Blob:
    return Blob.of_file(root / name, shown(str(root / name)))


def _walk(root: Path) -> Iterator[str]:
    """Give the paths of files under `root`; raises UserError at a link that leads out of it."""
    inside = root.resolve()
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    name = folder + entry.name
                    if entry.is_symlink():
                        _check_link(root / name, root, inside)
                    if entry.is_file():
                        yield name
                    elif not entry.is_dir():
                        raise UserError(f"{shown(str(root / name))}: neither a file nor a folder")
                    elif not entry.name.startswith("."):
                        folders.append(f"{name}/")
        except OSError as error:
            where = shown(str(root / folder))
            raise UserError(f"{where}: cannot be read ({error.strerror})") from error


def _check_link(path: Path, root: Path, inside: Path) -> None:
    if not path.exists():
        raise UserError(f"{shown(str(path))}: a link to nothing")
    if not path.resolve().is_relative_to(inside):
        raise UserError(f"{shown(str(path))}: a link that leads out of {root}")
    if path.is_dir():
        raise UserError(f"{shown(str(path))}: a link to a folder")
