"""Images in class folders, in a folder or in a zip, which is read in place and never unpacked."""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile

import numpy as np
from PIL import Image, ImageOps

from fewshot.data.source import Reading
from fewshot.errors import UserError

_NAMED_ALIKE = ("PNG", "JPEG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
FORMATS = {f".{name.lower()}": name for name in _NAMED_ALIKE} | {".jpg": "JPEG", ".tif": "TIFF"}
NOTES = {".txt", ".csv", ".json", ".md"}
SPLIT_FOLDERS = {"train", "val", "valid", "validation", "test"}
MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
WORDNET_ID = re.compile(r"n\d{8}")


class Files(NamedTuple):
    """The files of a source: their paths inside it (with '/'), and how to read one."""

    names: list[str]
    read: Callable[[str], bytes]


def read_class_folders(source: Path, size: int, *, resize: bool = False) -> Reading:
    """The images of a folder or zip of class folders, as uint8 RGB of `size` x `size`.

    Classes are sorted, and within a class the files by name without suffix. Images of another
    size are resized (bicubic) if `resize`, else refused. Images are decoded as they are taken.

    Raises UserError naming the file that is not what it says, now or while images are taken.
    """
    files = open_files(source)
    classes = find_classes(files.names)
    if not classes:
        raise UserError(f"{source}: no class folders with images")
    images = (
        load_image(files.read(name), name, size, resize=resize)
        for names in classes.values()
        for name in names
    )
    how = f"class folders, images {'resized by bicubic' if resize else 'required'} to be"
    info = {"source": source.name, "how": f"{how} {size}x{size}"}
    return Reading({name: len(members) for name, members in classes.items()}, images, info)


def open_files(source: Path) -> Files:
    """List a folder or a zip. Raises UserError when it is neither, or leads outside itself."""
    if source.is_dir():
        return Files(sorted(_walk(source)), lambda name: _read_file(source, name))
    if not source.exists():
        raise UserError(f"{source}: no such file or folder")
    try:
        archive = ZipFile(source)
    except (BadZipFile, OSError) as error:
        raise UserError(f"{source}: neither a folder nor a zip ({error})") from error
    members = {_safe(info.filename): info for info in archive.infolist() if not info.is_dir()}

    def read(name: str) -> bytes:
        try:
            return archive.read(members[name])
        except (BadZipFile, OSError, RuntimeError, NotImplementedError, ValueError) as error:
            raise UserError(f"{name}: cannot be read from {source.name} ({error})") from error

    return Files(sorted(members), read)


def find_classes(names: Iterable[str]) -> dict[str, list[str]]:
    """Files by class, both in order; split folders are merged, a wrapping folder is seen through.

    Raises UserError naming a file that is no image or stands where none belongs.
    """
    paths = [path for name in names if not _is_junk(path := PurePosixPath(name))]
    level = _class_level([path.parts for path in paths if path.suffix.lower() not in NOTES])
    classes = defaultdict(list)
    notes = []
    for path in paths:
        if path.suffix.lower() in NOTES:
            notes.append(path)
        elif len(path.parts) != level + 2:
            raise UserError(f"{path}: not directly in a class folder")
        else:
            _check_name(path)
            classes[path.parent.name].append(path)
    folders = {path.parent for paths in classes.values() for path in paths}
    for note in notes:
        if note.parent in folders:
            raise UserError(f"{note}: not an image, in a class folder")
    return {
        name: [str(path) for path in sorted(classes[name], key=lambda path: (path.stem, str(path)))]
        for name in sorted(classes)
    }


def load_image(data: bytes, name: str, size: int, *, resize: bool = False) -> np.ndarray:
    """Decode one image file as image_HWC, uint8 RGB, `size` x `size`.

    Raises UserError when it is damaged, of another format than `name` says, or of another size.
    """
    expected = FORMATS[PurePosixPath(name).suffix.lower()]
    try:
        # Pillow tries formats in turn: the likely one first halves the time for small images.
        file = Image.open(BytesIO(data), formats=[expected, *_NAMED_ALIKE])
        found = "JPEG" if file.format == "MPO" else file.format  # MPO: cameras' JPEG pairs
        image = _to_rgb(file) if found == expected and file.mode in MODES else file
    except Exception as error:  # Pillow raises a dozen kinds on damaged files
        raise UserError(f"{name}: truncated or not an image") from error
    if found != expected:
        raise UserError(f"{name}: the name says {expected} but the content is {found}")
    if file.mode not in MODES:
        raise UserError(f"{name}: pixels of mode {file.mode}, not 8 bits a channel")
    if resize:
        image = ImageOps.exif_transpose(image)
    if image.size != (size, size):
        if not resize:
            raise UserError(f"{name}: {image.width}x{image.height} pixels, not {size}x{size}")
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Decode as RGB, what is transparent on white; without a ground a drawn glyph is all black."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _class_level(paths: Sequence[tuple[str, ...]]) -> int:
    """How many folders stand above the class folders: wrapping ones and those of splits."""
    level = 0
    while any(len(path) > level + 2 for path in paths):
        tops = {path[level] for path in paths if len(path) > level + 1}
        if len(tops) > 1 and not {top.lower() for top in tops} <= SPLIT_FOLDERS:
            break
        level += 1
    return level


def _check_name(path: PurePosixPath) -> None:
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"{path}: not an image ({', '.join(FORMATS)})")
    if not path.parent.name.isprintable():
        raise UserError(f"{str(path)!r}: a class name with characters that cannot be printed")
    file_id = WORDNET_ID.match(path.name)
    if file_id and WORDNET_ID.fullmatch(path.parent.name) and file_id[0] != path.parent.name:
        raise UserError(f"mislabelled: {path} is of class {file_id[0]} by its name")


def _is_junk(path: PurePosixPath) -> bool:
    """What operating systems leave behind."""
    system = path.name.lower() in {"thumbs.db", "desktop.ini"}
    return system or any(part == "__MACOSX" or part.startswith(".") for part in path.parts)


def _safe(member: str) -> str:
    """The member's path; raises UserError when it would lead out of the archive."""
    path = PureWindowsPath(member)  # knows '/' and '\\' and drive letters
    if path.is_absolute() or path.drive or path.root or ".." in path.parts:
        raise UserError(f"{member}: a path that leads out of the archive")
    return path.as_posix()


def _read_file(root: Path, name: str) -> bytes:
    try:
        return (root / name).read_bytes()
    except OSError as error:
        raise UserError(f"{root / name}: cannot be read ({error.strerror})") from error


def _walk(root: Path) -> Iterable[str]:
    """Paths of the files under `root`; raises UserError at a link that leads out of it."""
    inside = root.resolve()
    for folder, subfolders, file_names in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in [*subfolders, *file_names]:
            path = Path(folder, name)
            if path.is_symlink():
                if not path.resolve().is_relative_to(inside):
                    raise UserError(f"{path}: a link that leads out of {root}")
                if path.is_dir():
                    raise UserError(f"{path}: a link to a folder")
        for name in file_names:
            yield Path(folder, name).relative_to(root).as_posix()
