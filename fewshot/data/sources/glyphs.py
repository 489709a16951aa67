"""The embedded data set: 100 characters of 12 writing systems, drawn anew from a seed.

The characters are in the DejaVu fonts that matplotlib ships, so there is nothing to download.
Every image is a function of (seed, class, number of the image): each class has its own random
streams, and each image its own part of them, from raw output of PCG64, which numpy promises for
ever. No sine is taken and no sum runs over pixels: the same pillow and fonts give the same pixels.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import TypeVar
from unicodedata import lookup

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFont, features

from fewshot.data.sources.source import DataSource, Reading
from fewshot.data.splits import ClassSplit
from fewshot.errors import UserError

IMAGE_SIZE = 32
_SIZE = (IMAGE_SIZE, IMAGE_SIZE)

# No two look alike, even across writing systems: of A, Alpha and Cyrillic A there is one. By their
# names, because right-to-left literals would scramble this page in most editors.
ALPHABETS = {
    "LATIN CAPITAL LETTER": "A E G K M Q R S W Y",
    "GREEK SMALL LETTER": "ALPHA BETA ZETA SIGMA LAMDA XI PSI OMEGA",
    "CYRILLIC CAPITAL LETTER": "BE DE I E YU YA LJE TSE EF SHCHA",
    "ARMENIAN CAPITAL LETTER": "AYB GIM ZA XEH CA CHEH KEH FEH SHA JHEH",
    "GEORGIAN LETTER": "AN GAN EN KAN PHAR KHAR JHAN SHIN CHAR CIL",
    "HEBREW LETTER": "ALEF GIMEL LAMED AYIN TSADI SHIN TAV QOF",
    "ARABIC LETTER": "JEEM SHEEN LAM TAH AIN QAF KAF MEEM WAW YEH",
    "LAO LETTER": "KO NGO NYO MO FO-TAM SO-SUNG HO-SUNG THO-TAM",
    "NKO LETTER": "U JA GBA RA FA NYA KA DA",
    "TIFINAGH LETTER": "YAB YAZ YAF YAKH YAQ YAGH YAJ YASS",
    "CANADIAN SYLLABICS": "A SA CA QA LHA",
    "COPTIC CAPITAL LETTER": "SHEI FEI KHEI HORI GANGIA",
}

# Pieces of these lie about in the background. They are no class, lest training show a test class.
CLUTTER = "0123456789%&?@#$"

_FONT_PX = 40
_INK_PX = 21  # the longer side of a character in an image, before the random scale
_STROKES = (0.0, 1.0)  # added around the outline, in font pixels
_N_DRAWS, _N_COLOUR_DRAWS = (64, 24)  # random numbers set aside for an image; of those, for colours
_T = TypeVar("_T")


def class_split() -> ClassSplit:
    """64 classes to train, 16 to validate and 20 to test, each from many writing systems."""
    # The order of hashes is a shuffle that no release of any library can change.
    names = sorted(characters(), key=lambda name: sha256(name.encode()).digest())
    train, val, test = (tuple(sorted(part)) for part in (names[:64], names[64:80], names[80:]))
    return ClassSplit(train, val, test, source="this suite: class names in the order of sha256")


def read(seed: int = 0, images_per_class: int = 600) -> Reading:
    """Return the images, which are drawn as they are asked for.

    The first images of a class are the same however many are drawn of it or of others.
    Raises UserError when the fonts are not where matplotlib keeps them.
    """
    _fonts()  # so that a missing font is an error here, and not at the first image

    def images(start: int, stop: int) -> Iterator[np.ndarray]:
        for class_id, character in enumerate(characters().values()):
            first = class_id * images_per_class
            part = slice(max(start - first, 0), max(stop - first, 0))
            if part.start < min(part.stop, images_per_class):
                yield _draw_class(character, seed, class_id, images_per_class)[part]

    info = {
        "source": "drawn",
        "seed": seed,
        "pillow": version("pillow"),
        "freetype": features.version("freetype2"),
        "fonts": f"matplotlib {version('matplotlib')}",
    }
    return Reading(dict.fromkeys(characters(), images_per_class), images, info)


@lru_cache
def characters() -> dict[str, str]:
    """Return the character of each class by name, in the order of the names: 'armenian-ayb', ..."""
    found = {}
    for alphabet, letters in ALPHABETS.items():
        for letter in letters.lower().split():
            name = f"{alphabet.lower().split()[0]}-{letter}"
            found[name] = lookup(f"{alphabet} {letter.replace('-', ' ')}")
    return dict(sorted(found.items()))


def fonts_with(character: str) -> list[ImageFont.FreeTypeFont]:
    """Return the fonts that have a glyph of this character, not the box for a missing one."""
    return [f for f in _fonts() if bytes(f.getmask(character)) != bytes(f.getmask("\uffff"))]


@lru_cache
def _fonts() -> list[ImageFont.FreeTypeFont]:
    spec = find_spec("matplotlib")  # importing it would take longer than drawing a class
    folder = Path(spec.origin if spec and spec.origin else "").parent / "mpl-data/fonts/ttf"
    paths = sorted(path for path in folder.glob("DejaVu*.ttf") if "Display" not in path.name)
    if not paths:
        raise UserError(f"glyphs can't be drawn: the fonts of matplotlib are not in {folder}")
    # The basic layout takes each letter in its isolated form, whether or not raqm is there.
    basic = ImageFont.Layout.BASIC
    return [ImageFont.truetype(path, _FONT_PX, layout_engine=basic) for path in paths]


@lru_cache
def _masks(text: str) -> list[Image.Image]:
    """Draw the character in every font and stroke width, cropped to its ink and an empty margin."""
    masks = []
    for font in fonts_with(text):
        for stroke in _STROKES:
            left, top, right, bottom = font.getbbox(text, stroke_width=stroke)
            mask = Image.new("L", (ceil(right - left) + 4, ceil(bottom - top) + 4))
            ImageDraw.Draw(mask).text((2 - left, 2 - top), text, 255, font, stroke_width=stroke)
            masks.append(mask)
    return masks


def _draw_class(character: str, seed: int, class_id: int, n_images: int) -> np.ndarray:
    """Draw the first n_images pictures of a class, IHWC."""
    layers_LIHW = np.empty((3, n_images, *_SIZE), np.uint8)
    raw_IU = np.random.PCG64([seed, class_id, 0]).random_raw(n_images * _N_DRAWS)
    draws_IU = (raw_IU.reshape(-1, _N_DRAWS) >> np.uint64(11)) * 2.0**-53  # 0 <= draw < 1
    for i, draws_U in enumerate(draws_IU[:, _N_COLOUR_DRAWS:].tolist()):
        u = iter(draws_U)
        x, y = _between(u, 13, 19), _between(u, 13, 19)
        layers_LIHW[0, i] = np.asarray(ImageChops.lighter(_piece(u), _piece(u)))
        layers_LIHW[1, i] = np.asarray(_place(_choose(_masks(character), u), x, y, u))
        layers_LIHW[2, i] = np.asarray(_scribble(u))
    noise = np.random.PCG64([seed, class_id, 1]).random_raw(n_images * 3 * IMAGE_SIZE**2 // 8)
    noise_IHWC = noise.astype("<u8").view(np.uint8).reshape(n_images, *_SIZE, 3)
    return _paint(layers_LIHW, draws_IU, noise_IHWC)


def _place(mask: Image.Image, x: float, y: float, u: Iterator[float]) -> Image.Image:
    """Put the mask in an image, around (x, y), at a random size, turn and shear."""
    step = (max(mask.size) - 4) / (_INK_PX * _between(u, 0.85, 1.2))
    turn, shear = _between(u, -0.3, 0.3), _between(u, -0.2, 0.2)
    # PIL asks for the way back, from a pixel of the image to one of the mask.
    a, b = step * _between(u, 0.85, 1.15), step * (shear - turn)
    d, e = step * (shear + turn), step
    back = (a, b, mask.width / 2 - a * x - b * y, d, e, mask.height / 2 - d * x - e * y)
    return mask.transform(_SIZE, Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)


def _piece(u: Iterator[float]) -> Image.Image:
    """Draw a character of no class, so far from the middle that only part of it is seen."""
    mask = _choose(_masks(_choose(CLUTTER, u)), u)
    along, across = _between(u, 0, IMAGE_SIZE), _choose((1.0, IMAGE_SIZE - 1.0), u)
    return _place(mask, *_choose(((along, across), (across, along)), u), u)


def _scribble(u: Iterator[float]) -> Image.Image:
    """Draw lines and a blob, large and shrink them so that their edges are smooth."""
    size = 2 * IMAGE_SIZE
    layer = Image.new("L", (size, size))
    draw = ImageDraw.Draw(layer)
    for _ in range(2):
        ends = [_between(u, -size / 4, 5 * size / 4) for _ in "xyxy"]
        draw.line(ends, 255, width=_choose((2, 3, 4, 5), u))
    x, y, r = _between(u, 0, size), _between(u, 0, size), _between(u, 4, 11)
    draw.ellipse((x - r, y - r, x + r, y + r), 255)
    return layer.reduce(2)


def _paint(layers_LIHW: np.ndarray, draws_IU: np.ndarray, noise_IHWC: np.ndarray) -> np.ndarray:
    """Colour pieces, character and scribble, one over the other, on a sloping background."""
    take = iter(draws_IU.T.astype(np.float32)[..., None, None, None])

    def between(low: float, high: float, channels: int = 3) -> np.ndarray:
        return low + (high - low) * np.concatenate([next(take) for _ in range(channels)], axis=-1)

    # Always light on dark: with both, pixels alone would tell a learner nothing.
    dark = between(0.05, 0.3, 1)
    ink = dark + between(0.3, 0.6, 1) + between(-0.12, 0.12)
    across = np.linspace(-0.5, 0.5, IMAGE_SIZE, dtype=np.float32)
    x_IHWC = dark + between(-0.12, 0.12) + between(-0.2, 0.2) * across[:, None]
    x_IHWC = x_IHWC + between(-0.2, 0.2) * across[:, None, None]
    colours = ((between(0, 1), 0.8), (ink, 1.0), (between(0, 1), 0.9))
    for alpha_IHW, (colour, opacity) in zip(layers_LIHW, colours, strict=True):
        x_IHWC += (colour - x_IHWC) * (alpha_IHW[..., None] * np.float32(opacity / 255))
    x_IHWC += between(0.1, 0.5, 1) * (noise_IHWC * np.float32(1 / 255) - np.float32(0.5))
    return np.asarray(np.rint(x_IHWC.clip(0, 1) * np.float32(255)), np.uint8)


def _between(u: Iterator[float], low: float, high: float) -> float:
    return low + (high - low) * next(u)


def _choose(options: Sequence[_T], u: Iterator[float]) -> _T:
    return options[int(next(u) * len(options))]


GLYPHS = DataSource(
    name="glyphs",
    description="generated letters of many scripts; needs no download",
    image_size=IMAGE_SIZE,
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    split=class_split,
    drawn=read,
    images={"train": 38_400, "val": 9_600, "test": 12_000},
    in_suite=True,
)
