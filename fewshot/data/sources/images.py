"""Reads images in class folders, and single images; brings them to the size that is asked for."""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from fewshot.data.sources.source import Asked, Reading, one_by_one
from fewshot.data.untrusted.files import Files
from fewshot.errors import UserError

_NAMED_ALIKE = ("PNG", "JPEG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
FORMATS = {f".{name.lower()}": name for name in _NAMED_ALIKE} | {".jpg": "JPEG", ".tif": "TIFF"}
NOTES = {".txt", ".csv", ".json", ".md"}
SPLIT_FOLDERS = {"train", "val", "valid", "validation", "test"}
MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
MOST_PIXELS = 1 << 26  # of an image that is decoded: beyond it, a bomb and no photograph
JUNK = {"thumbs.db", "desktop.ini"}
WORDNET_ID = re.compile(r"n\d{8}")
Resample = Callable[[np.ndarray, int], np.ndarray]


def read_class_folders(files: Files, asked: Asked, classes: dict[str, list[str]]) -> Reading:
    """Return the images of class folders, as uint8 RGB of the size asked for.

    classes: as `find_classes` gives them. Images are decoded as they are taken.
    Raises UserError naming the file that is not what it says, while images are taken.
    """
    names = [name for members in classes.values() for name in members]

    def image(index: int) -> np.ndarray:
        return load_image(files.read(names[index]), names[index], asked.size, asked.resample)

    change = f"resampled ({asked.resample})" if asked.resample else "required"
    how = f"class folders, images {change} to be {asked.size}x{asked.size}"
    sizes = {name: len(members) for name, members in classes.items()}
    return Reading(sizes, one_by_one(image), {"how": how})


def find_images(names: Sequence[str]) -> Sequence[str] | None:
    """Return all names if that of an image is among them."""
    return names if any(_suffix(name) in FORMATS for name in names) else None


def find_classes(names: Collection[str]) -> dict[str, list[str]]:
    """Group files by class, both in order; split folders are merged, wrapping ones seen through.

    Raises UserError naming a file that is no image or stands where none belongs, or when there
    is no class at all.
    """
    images, notes = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for name in names:  # there may be a million
        folder, _, file = name.rpartition("/")
        if not is_junk(name):
            (notes if _suffix(file) in NOTES else images)[folder].append(file)
    level = _class_level(set(images))
    classes = defaultdict[str, list[tuple[str, str, str]]](list)
    for folder, files in images.items():
        if not folder or folder.count("/") != level:
            raise UserError(f"{_join(folder, files[0])}: not directly in a class folder")
        if folder in notes:
            raise UserError(f"{_join(folder, notes[folder][0])}: not an image, in a class folder")
        _check_names(folder, files)
        class_name = folder.rpartition("/")[2]
        classes[class_name] += [(file.rpartition(".")[0], folder, file) for file in files]
    if not classes:
        raise UserError("no class folders with images")
    return {
        name: [_join(folder, file) for _, folder, file in sorted(classes[name])]
        for name in sorted(classes)
    }


def load_image(data: bytes, name: str, size: int, resample: str | None = None) -> np.ndarray:
    """Decode one image file as image_HWC, uint8 RGB, `size` x `size`.

    Raises UserError when it is damaged, of another format than `name` says, or of another size
    and not to be resampled.
    """
    image = decode(data, name, FORMATS[_suffix(name)], upright=resample is not None)
    return fit(image, size, resample, name)


def decode(data: bytes, name: str, expected: str, *, upright: bool = False) -> np.ndarray:
    """Decode one image file as image_HWC, uint8 RGB; with `upright`, turned as its EXIF says.

    Raises UserError when it is damaged or of another format than `expected`.
    """
    try:
        # Pillow tries formats in turn: the likely one first halves the time for small images.
        file = Image.open(BytesIO(data), formats=[expected, *_NAMED_ALIKE])
        found = "JPEG" if file.format == "MPO" else file.format  # MPO: cameras' JPEG pairs
        sound = found == expected and file.mode in MODES and file.width * file.height <= MOST_PIXELS
        image = _to_rgb(file) if sound else file
        if sound and upright:
            image = ImageOps.exif_transpose(image)
    except Exception as error:  # Pillow raises a dozen kinds on damaged files
        raise UserError(f"{name}: truncated or not an image") from error
    if found != expected:
        raise UserError(f"{name}: the name says {expected} but the content is {found}")
    if file.mode not in MODES:
        raise UserError(f"{name}: pixels of mode {file.mode}, not 8 bits a channel")
    if not sound:
        raise UserError(f"{name}: {file.width}x{file.height} pixels are too many")
    return np.asarray(image)


def is_junk(name: str) -> bool:
    """Return whether this is a file that operating systems leave behind."""
    folder, _, file = name.rpartition("/")
    return file[:1] == "." or file.lower() in JUNK or _is_junk_folder(folder)


@lru_cache(maxsize=1000)
def _is_junk_folder(folder: str) -> bool:
    return any(part == "__MACOSX" or part.startswith(".") for part in folder.split("/"))


def _to_rgb(image: Image.Image) -> Image.Image:
    """Decode as RGB, transparent parts on white: without a ground a drawn glyph is all black."""
    if not image.has_transparency_data:
        image.load()
        return image if image.mode == "RGB" else image.convert("RGB")  # which would copy it
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _class_level(folders: set[str]) -> int:
    """Count the folders that stand above the class folders: wrapping ones and those of splits."""
    paths = [folder.split("/") for folder in folders if folder]
    level = 0
    while any(len(path) > level + 1 for path in paths):
        tops = {path[level] for path in paths if len(path) > level}
        if len(tops) > 1 and not {top.lower() for top in tops} <= SPLIT_FOLDERS:
            break
        level += 1
    return level


def _check_names(folder: str, files: Iterable[str]) -> None:
    class_name = folder.rpartition("/")[2]
    if not class_name.isprintable():
        raise UserError(f"{folder!r}: a class name with characters that cannot be printed")
    by_id = WORDNET_ID.fullmatch(class_name)
    for file in files:
        if _suffix(file) not in FORMATS:
            raise UserError(f"{_join(folder, file)}: not an image ({', '.join(FORMATS)})")
        file_id = WORDNET_ID.match(file) if by_id else None
        if file_id and file_id[0] != class_name:
            raise UserError(f"mislabelled: {folder}/{file} is of class {file_id[0]} by its name")


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""


def _join(folder: str, file: str) -> str:
    return f"{folder}/{file}" if folder else file


def _pillow(filter_: Image.Resampling) -> Resample:
    def resample(image_HWC: np.ndarray, size: int) -> np.ndarray:
        return np.asarray(Image.fromarray(image_HWC).resize((size, size), filter_))

    return resample


def _opencv(mode: str) -> Resample:
    """Resize as cv2.resize does: no low pass before shrinking, pixel centres aligned, a = -0.75."""

    def resample(image_HWC: np.ndarray, size: int) -> np.ndarray:
        import torch  # slow to import, and needed for these alone

        x_1CHW = torch.from_numpy(np.array(image_HWC)).permute(2, 0, 1)[None].float()
        y_1CHW = torch.nn.functional.interpolate(x_1CHW, (size, size), mode=mode)
        return y_1CHW[0].permute(1, 2, 0).round().clamp(0, 255).byte().contiguous().numpy()

    return resample


RESAMPLERS: dict[str, Resample] = {
    "bicubic": _pillow(Image.Resampling.BICUBIC),
    "bilinear": _pillow(Image.Resampling.BILINEAR),
    "lanczos": _pillow(Image.Resampling.LANCZOS),
    "box": _pillow(Image.Resampling.BOX),
    "cv2-bilinear": _opencv("bilinear"),
    "cv2-bicubic": _opencv("bicubic"),
}
"""Pillow's filters look at every pixel of the original (MAML's miniImageNet: lanczos); those named
after OpenCV do not (the cache pickles of miniImageNet: cv2-bilinear; tieredImageNet: cv2-bicubic).
"""


def fit(image_HWC: np.ndarray, size: int, resample: str | None, name: str) -> np.ndarray:
    """Return the image at `size` x `size` pixels, resampled if it has others.

    Raises UserError naming the image (`name`) if it has another size and `resample` is None.
    """
    height, width = image_HWC.shape[:2]
    if (height, width) == (size, size):
        return image_HWC
    if resample is None:
        raise UserError(
            f"{name}: {width}x{height} pixels, not {size}x{size}; --resample says how to change it"
        )
    return RESAMPLERS[resample](image_HWC, size)
