"""The drawn data set: which characters, that the fonts have them, and that the seed decides all."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from matplotlib.ft2font import FT2Font

from fewshot.data.sources import glyphs
from fewshot.data.sources.glyphs import (
    CLUTTER,
    IMAGE_SIZE,
    characters,
    class_split,
    fonts_with,
    read,
)
from fewshot.episodes.sampling import SPLITS
from fewshot.errors import UserError


def _images(seed: int = 0, images_per_class: int = 2) -> np.ndarray:
    return np.concatenate(list(read(seed, images_per_class).images(0, 100 * images_per_class)))


def test_sizes_and_images_agree() -> None:
    class_sizes, images, info, _ = read(images_per_class=2)
    images_IHWC = np.concatenate(list(images(0, 200)))
    assert np.array_equal(np.concatenate(list(images(3, 7))), images_IHWC[3:7])
    assert list(class_sizes) == sorted(class_sizes)
    assert len(class_sizes) == 100
    assert set(class_sizes.values()) == {2}
    assert images_IHWC.shape == (200, IMAGE_SIZE, IMAGE_SIZE, 3)
    assert images_IHWC.dtype == np.uint8
    assert info["source"] == "drawn"
    assert info["seed"] == 0


def test_seed_decides_every_pixel() -> None:
    images_IHWC = _images(seed=3)
    assert np.array_equal(images_IHWC, _images(seed=3))
    assert not np.any((images_IHWC == _images(seed=4)).all(axis=(1, 2, 3)))


def test_another_process_draws_the_same() -> None:
    code = (
        "import sys; from fewshot.data.sources.glyphs import read; from hashlib import sha256;"
        "images = b''.join(block.tobytes() for block in read(5, 1).images(0, 100));"
        "assert 'matplotlib' not in sys.modules and 'torch' not in sys.modules;"
        "print(sha256(images).hexdigest())"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == sha256(_images(5, 1).tobytes()).hexdigest()


def test_image_does_not_depend_on_how_many_are_drawn() -> None:
    few_CIHWC = _images(images_per_class=1).reshape(100, 1, IMAGE_SIZE, IMAGE_SIZE, 3)
    many_CIHWC = _images(images_per_class=3).reshape(100, 3, IMAGE_SIZE, IMAGE_SIZE, 3)
    assert np.array_equal(few_CIHWC, many_CIHWC[:, :1])


def test_no_two_images_are_equal() -> None:
    assert len({image.tobytes() for image in _images(images_per_class=5)}) == 500


def test_characters_are_distinct_and_named_for_files() -> None:
    assert len(set(characters().values())) == 100
    assert all(name.isascii() and name.replace("-", "").isalpha() for name in characters())
    assert not set(characters().values()) & set(CLUTTER)


def test_writing_systems_are_in_every_split() -> None:
    split = class_split()
    assert len({name.split("-")[0] for name in characters()}) == 12
    for part in SPLITS:
        assert len({name.split("-")[0] for name in split.classes(part)}) >= 8


def test_split_is_64_16_20() -> None:
    split = class_split()
    split.check_classes(characters())  # disjoint by construction
    assert [len(split.classes(part)) for part in SPLITS] == [64, 16, 20]


def test_split_never_moves() -> None:
    listed = ",".join("/".join(class_split().classes(part)) for part in SPLITS)
    assert sha256(listed.encode()).hexdigest()[:16] == "bce8924189860f11"


def test_no_character_is_the_box_for_a_missing_one() -> None:
    """By the fonts' own tables; `fonts_with` goes by what is drawn."""
    paths = {str(font.path) for font in fonts_with("A")}
    charmaps = {path: FT2Font(path).get_charmap() for path in paths}
    for character in [*characters().values(), *CLUTTER]:
        drawn_with = {str(font.path) for font in fonts_with(character)}
        assert len(drawn_with) >= 2
        assert drawn_with == {path for path in paths if ord(character) in charmaps[path]}


def test_missing_fonts_are_one_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(glyphs, "find_spec", lambda _: None)
    glyphs._fonts.cache_clear()
    with pytest.raises(UserError, match="fonts of matplotlib"):
        read()
    glyphs._fonts.cache_clear()
