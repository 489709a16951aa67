"""Class folders and single images: `images.py`, on folders and zips as `untrusted` opens them."""

import io
from pathlib import Path

import numpy as np
import pytest
from helpers.made_data import (
    encode,
    lay_out,
    pack,
    picture,
)
from PIL import Image

from fewshot.data.sources.images import find_classes, load_image, read_class_folders
from fewshot.data.sources.source import Asked, Reading
from fewshot.data.store import Store, write_store
from fewshot.data.untrusted.files import open_files
from fewshot.errors import UserError

CLASSES = ("ant", "bee", "cat", "dog", "eel")


def small_set(prefix: str = "") -> dict[str, bytes]:
    """Five classes of three images, not in order."""
    places = [(name, i) for i in (2, 0, 1) for name in reversed(CLASSES)]
    return {f"{prefix}{c}/{i}.png": encode(seed) for seed, (c, i) in enumerate(places)}


def read(source: Path, size: int = 8, resample: str | None = None) -> Reading:
    files = open_files(source)
    return read_class_folders(files, Asked(size, resample), find_classes(files.names))


# -- folders and zips


def test_a_folder_and_a_zip_give_the_same_store(tmp_path: Path) -> None:
    files = small_set()
    stores: list[Store] = []
    for source in (lay_out(tmp_path / "set", files), pack(tmp_path / "set.zip", files)):
        stores.append(write_store(tmp_path / f"store{len(stores)}", read(source), 8))
    one, other = stores
    assert one.class_names == CLASSES
    assert one.fingerprint == other.fingerprint
    assert (one.path / "images.npy").read_bytes() == (other.path / "images.npy").read_bytes()


@pytest.mark.parametrize(
    "prefixes",
    [
        ("wrap/",),
        ("a/b/",),
        ("train/", "val/", "test/"),
        ("Train/", "Validation/"),
        ("wrap/train/", "wrap/test/"),
        ("cifar100/data/",),
    ],
)
def test_split_folders_are_merged_and_wrapping_ones_seen_through(
    tmp_path: Path, prefixes: tuple[str, ...]
) -> None:
    names = sorted(small_set())
    placed = {f"{prefixes[i % len(prefixes)]}{name}": name for i, name in enumerate(names)}
    junk = ["__MACOSX/x.png", ".git/config", "ant/.DS_Store", "ant/Thumbs.db", "README.md"]
    classes = find_classes([*placed, *junk, f"{prefixes[0]}labels.csv"])
    assert [placed[name] for members in classes.values() for name in members] == names


def test_a_class_may_be_named_like_a_split(tmp_path: Path) -> None:
    assert list(find_classes(["train/1.png", "apple/1.png"])) == ["apple", "train"]
    assert list(find_classes(["train/1.png", "test/1.png"])) == ["test", "train"]


def test_notes_beside_class_folders_are_ignored() -> None:
    notes = ["all/README.md", "all/splits/ravi/train.txt"]
    assert list(find_classes(["all/data/ant/1.png", "all/data/bee/1.png", *notes])) == [
        "ant",
        "bee",
    ]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("ant/notes.txt", "ant/notes.txt: not an image"),
        ("ant/model.bin", "ant/model.bin: not an image"),
        ("ant/noname", "ant/noname: not an image"),
        ("ant/sub/1.png", "ant/sub/1.png: not directly in a class folder"),
        ("stray.png", "stray.png: not directly in a class folder"),
    ],
)
def test_what_does_not_belong_is_named(tmp_path: Path, extra: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        find_classes([*small_set(), extra])


def test_mislabelled_wordnet_files_are_named() -> None:
    good = ["n01532829/n0153282900000005.jpg", "n02051845/other.jpg"]
    find_classes(good)
    with pytest.raises(UserError, match="mislabelled: n02051845/n01532829_7.jpg"):
        find_classes([*good, "n02051845/n01532829_7.jpg"])


@pytest.mark.parametrize(
    "member", ["../ant/9.png", "ant/../../9.png", "/ant/9.png", "C:/ant/9.png", "ant\\..\\9.png"]
)
def test_a_zip_that_leads_outside_is_refused(tmp_path: Path, member: str) -> None:
    source = pack(tmp_path / "set.zip", {**small_set(), member: encode()})
    with pytest.raises(UserError, match="leads out of the archive"):
        read(source)
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]


def test_links_out_of_a_folder_are_refused(tmp_path: Path) -> None:
    source = lay_out(tmp_path / "set", small_set())
    secret = lay_out(tmp_path, {"secret.png": encode()}) / "secret.png"
    (source / "ant/9.png").symlink_to(source / "ant/0.png")
    assert "ant/9.png" in open_files(source).names
    (source / "bee/9.png").symlink_to(secret)
    with pytest.raises(UserError, match="bee/9.png: a link that leads out"):
        open_files(source)
    (source / "bee/9.png").unlink()
    (source / "fox").symlink_to(source / "ant")
    with pytest.raises(UserError, match="fox: a link to a folder"):
        open_files(source)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 truncated", None])
def test_sources_that_are_nothing(tmp_path: Path, content: bytes | None) -> None:
    source = tmp_path / "set.zip"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(UserError, match="set.zip: (neither a folder nor a zip|no such file)"):
        open_files(source)


def test_an_empty_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no class folders"):
        read(tmp_path)


def test_a_damaged_zip_member_is_named(tmp_path: Path) -> None:
    source = pack(tmp_path / "set.zip", small_set())
    raw = source.read_bytes()
    source.write_bytes(raw.replace(small_set()["bee/1.png"], bytes(len(small_set()["bee/1.png"]))))
    with pytest.raises(UserError, match="bee/1.png: cannot be read"):
        list(read(source).images(0, 15))


# -- single images


@pytest.mark.parametrize(
    "suffix", ["png", "bmp", "ppm", "tif", "tiff", "jpg", "jpeg", "gif", "webp"]
)
def test_formats(suffix: str) -> None:
    image = load_image(encode(1, suffix), f"ant/1.{suffix.upper()}", 8)
    assert image.shape == (8, 8, 3)
    assert image.dtype == np.uint8
    if suffix in ("png", "bmp", "ppm", "tif", "tiff"):
        assert np.array_equal(image, np.asarray(picture(1)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    file = io.BytesIO()
    picture(0).convert(mode).save(file, "tiff")
    assert load_image(file.getvalue(), "ant/1.tif", 8).shape == (8, 8, 3)


def test_what_is_transparent_is_white() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(file, "png")
    assert (load_image(file.getvalue(), "ant/1.png", 8) == 255).all()


def test_another_format_than_the_name_says() -> None:
    with pytest.raises(UserError, match=r"^x/y\.png: the name says PNG but the content is JPEG$"):
        load_image(encode(0, "jpg"), "x/y.png", 8)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif", "tif", "ppm"])
def test_truncated_images_are_named(suffix: str) -> None:
    whole = encode(0, suffix, (64, 64))
    for keep in (0, 1, 10, len(whole) // 2):
        with pytest.raises(UserError, match="^x/y.*: truncated or not an image$"):
            load_image(whole[:keep], f"x/y.{suffix}", 64)


def test_sixteen_bits_are_refused() -> None:
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8), 40000, np.uint16)).save(file, "png")
    with pytest.raises(UserError, match="not 8 bits a channel"):
        load_image(file.getvalue(), "x/y.png", 8)


def test_the_size_must_fit_or_is_made_to() -> None:
    wide = encode(0, size=(12, 8))
    with pytest.raises(UserError, match=r"^x/y\.png: 12x8 pixels, not 8x8; --resample"):
        load_image(wide, "x/y.png", 8)
    resized = picture(0, (12, 8)).resize((8, 8), Image.Resampling.BICUBIC)
    assert np.array_equal(load_image(wide, "x/y.png", 8, "bicubic"), np.asarray(resized))
