"""Reading class folders, zips and the CIFAR-100 archive, and opening what was imported."""

import io
import pickle
import shutil
import struct
import sys
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.error import URLError
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from fewshot import data
from fewshot.data import cifar, folder, mini_imagenet
from fewshot.data.images import find_classes, load_image, open_files, read_class_folders
from fewshot.data.source import Reading
from fewshot.data.splits import load_split
from fewshot.data.store import Store, verify_store, write_store
from fewshot.errors import UserError
from fewshot.sampling import SPLITS

CLASSES = ("ant", "bee", "cat", "dog", "eel")
SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"


def picture(seed: int, size: tuple[int, int] = (8, 8)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels)


def encode(seed: int = 0, suffix: str = "png", size: tuple[int, int] = (8, 8)) -> bytes:
    file = io.BytesIO()
    picture(seed, size).save(file, {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix))
    return file.getvalue()


def lay_out(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def pack(path: Path, files: dict[str, bytes]) -> Path:
    with ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def small_set(prefix: str = "") -> dict[str, bytes]:
    """Five classes of three images, not in order."""
    places = [(name, i) for i in (2, 0, 1) for name in reversed(CLASSES)]
    return {f"{prefix}{c}/{i}.png": encode(seed) for seed, (c, i) in enumerate(places)}


def pixels_of(source: Path, size: int = 8, **options: bool) -> np.ndarray:
    return np.stack(list(read_class_folders(source, size, **options).images))


# -- folders and zips


def test_a_folder_and_a_zip_give_the_same_store(tmp_path: Path) -> None:
    files = small_set()
    stores: list[Store] = []
    for source in (lay_out(tmp_path / "set", files), pack(tmp_path / "set.zip", files)):
        reading = read_class_folders(source, 8)
        stores.append(write_store(tmp_path / f"store{len(stores)}", *reading[:2], 8, reading.info))
    one, other = stores
    assert one.class_names == CLASSES
    assert one.fingerprint == other.fingerprint
    assert (one.path / "images.npy").read_bytes() == (other.path / "images.npy").read_bytes()
    assert one.info["source"] == "set"
    assert other.info["source"] == "set.zip"


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
        read_class_folders(source, 8)
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
        read_class_folders(tmp_path, 8)


def test_a_damaged_zip_member_is_named(tmp_path: Path) -> None:
    source = pack(tmp_path / "set.zip", small_set())
    raw = source.read_bytes()
    source.write_bytes(raw.replace(small_set()["bee/1.png"], bytes(len(small_set()["bee/1.png"]))))
    with pytest.raises(UserError, match="bee/1.png: cannot be read"):
        pixels_of(source)


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
    with pytest.raises(UserError, match=r"^x/y\.png: 12x8 pixels, not 8x8$"):
        load_image(wide, "x/y.png", 8)
    resized = picture(0, (12, 8)).resize((8, 8), Image.Resampling.BICUBIC)
    assert np.array_equal(load_image(wide, "x/y.png", 8, resize=True), np.asarray(resized))


# -- CIFAR-100


PicklerInPython: Any = pickle._Pickler


class Python2Pickler(PicklerInPython):  # type: ignore[misc]
    """Writes strings as Python 2 did, which is how the official archive was made."""

    dispatch: ClassVar = dict(PicklerInPython.dispatch)

    def save_string(self, value: str | bytes) -> None:
        raw = value.encode() if isinstance(value, str) else value
        self.write(b"T" + struct.pack("<i", len(raw)) + raw)

    def save_global(self, obj: Any, name: str | None = None) -> None:
        module = obj.__module__.replace("numpy._core", "numpy.core")
        self.write(f"c{module}\n{obj.__qualname__}\n".encode())

    dispatch[str] = save_string
    dispatch[bytes] = save_string
    dispatch[type(np.zeros(0).__reduce__()[0])] = save_global
    dispatch[type] = save_global


def dump_python2(value: object) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(value)
    return file.getvalue()


def cifar_images(per_class: int) -> dict[str, bytes]:
    """'<class>/<file>.png' -> the 3072 bytes of an image, for the 100 classes."""
    split = load_split("cifar-fs")
    names = sorted((*split.train, *split.val, *split.test))
    rng = np.random.default_rng(0)
    return {
        f"{name}/{name[::-1]}_s_{rng.integers(10**5):05}{i}.png": rng.bytes(3072)
        for name in names
        for i in range(per_class)
    }


def official_files(images: dict[str, bytes], dump: Callable[[object], bytes]) -> dict[str, bytes]:
    names = sorted({name.split("/")[0] for name in images})
    shuffled = [list(images)[i] for i in np.random.default_rng(1).permutation(len(images))]
    n_train = len(shuffled) * 2 // 3
    files = {"meta": dump({"fine_label_names": names, "coarse_label_names": ["x"]})}
    for batch, members in (("train", shuffled[:n_train]), ("test", shuffled[n_train:])):
        table = {
            "data": np.frombuffer(b"".join(images[m] for m in members), np.uint8).reshape(-1, 3072),
            "fine_labels": [names.index(m.split("/")[0]) for m in members],
            "filenames": [m.split("/")[1] for m in members],
            "batch_label": f"{batch}ing batch 1 of 1",
        }
        files[batch] = dump(table)
    return {f"cifar-100-python/{name}": content for name, content in files.items()}


def png_files(images: dict[str, bytes]) -> dict[str, bytes]:
    files = {}
    for name, raw in images.items():
        file = io.BytesIO()
        pixels = np.frombuffer(raw, np.uint8).reshape(3, 32, 32).transpose(1, 2, 0)
        Image.fromarray(np.ascontiguousarray(pixels)).save(file, "png")
        files[name] = file.getvalue()
    return files


def tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def small_cifar(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cifar-fs", "fc100"):
        small = replace(data.DATASETS[name], read=partial(cifar.read, per_class=3))
        monkeypatch.setitem(data.DATASETS, name, small)


@pytest.mark.usefixtures("small_cifar")
def test_every_route_to_cifar_gives_the_same_bytes(tmp_path: Path) -> None:
    images = cifar_images(3)
    official = official_files(images, dump_python2)
    modern = official_files(images, partial(pickle.dumps, protocol=4))
    sources = [
        pack(tmp_path / "cifar100.zip", png_files(images)),
        lay_out(tmp_path / "folders", png_files(images)),
        tar(tmp_path / "cifar-100-python.tar.gz", official),
        lay_out(tmp_path / "official", official),
        lay_out(tmp_path / "modern", modern) / "cifar-100-python",
    ]
    stores = [
        data.import_dataset("cifar-fs", source, tmp_path / f"data{i}")
        for i, source in enumerate(sources)
    ]
    assert len({store.fingerprint for store in stores}) == 1
    assert len({(store.path / "images.npy").read_bytes() for store in stores}) == 1
    assert stores[2].info["source"] == "cifar-100-python.tar.gz"
    verify_store(stores[2])


@pytest.mark.usefixtures("small_cifar")
def test_splits_of_a_store_are_disjoint_rows(tmp_path: Path) -> None:
    source = tar(tmp_path / "c.tgz", official_files(cifar_images(3), dump_python2))
    for name in ("cifar-fs", "fc100"):
        data.import_dataset(name, source, tmp_path)
        rows: list[int] = []
        for part in SPLITS:
            opened = data.open_source(name, part, tmp_path)
            assert opened.class_names == load_split(name).classes(part)
            assert opened.image_size == 32
            ranges = zip(opened.class_starts, opened.class_sizes, strict=True)
            rows += [row for start, size in ranges for row in range(start, start + size)]
        assert sorted(rows) == list(range(300))
    assert data.available(tmp_path) == ["cifar-fs", "fc100"]
    info = data.dataset_info("fc100", tmp_path)
    assert info["classes"] == {"train": 60, "val": 20, "test": 20}
    assert (info["images"], info["image_size"], info["source"]) == (300, 32, "c.tgz")


@pytest.mark.parametrize("read", [cifar.read, mini_imagenet.read])
def test_classes_and_counts_must_be_exact(tmp_path: Path, read: Callable[..., Any]) -> None:
    split = load_split("cifar-fs" if read is cifar.read else "mini-imagenet")
    names = (*split.train, *split.val, *split.test)
    source = lay_out(tmp_path, {f"{name}/{i}.png": b"" for name in names for i in range(2)})
    assert len(read(source, per_class=2).class_sizes) == 100  # no image is decoded yet
    with pytest.raises(UserError, match="has 2 images, not 600"):
        read(source)
    lay_out(tmp_path, {f"{names[0]}/2.png": b""})
    with pytest.raises(UserError, match=f"class '{names[0]}' has 3 images, not 2"):
        read(source, per_class=2)
    shutil.rmtree(tmp_path / names[0])
    with pytest.raises(UserError, match=f"missing class '{names[0]}'"):
        read(source, per_class=2)
    lay_out(tmp_path, {f"{name}/{i}.png": b"" for name in (names[0], "yeti") for i in range(2)})
    with pytest.raises(UserError, match="class 'yeti' not in the split"):
        read(source, per_class=2)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("touch evil",)


@pytest.mark.parametrize(
    "value", [Evil(), {"data": Evil()}, {"x": np.random.default_rng(0)}, {"x": eval}, ["list"]]
)
def test_a_pickle_runs_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="meta: not the CIFAR-100 Python archive"):
        cifar.load_pickle(io.BytesIO(pickle.dumps(value)), "meta")
    assert not list(tmp_path.iterdir())


def test_damaged_official_archives(tmp_path: Path) -> None:
    whole = official_files(cifar_images(1), dump_python2)
    for i, (name, content) in enumerate(
        [
            ("train", b""),
            ("train", whole["cifar-100-python/train"][:-40]),
            ("meta", b"junk"),
            ("test", dump_python2({"data": np.zeros((1, 3072)), "fine_labels": [0]})),
            ("test", dump_python2({"data": np.zeros((1, 9), np.uint8)})),
        ]
    ):
        files = {**whole, f"cifar-100-python/{name}": content}
        with pytest.raises(UserError, match="not the CIFAR-100 Python archive"):
            cifar.read(tar(tmp_path / f"{i}.tgz", files), per_class=1)
    without = {name: content for name, content in whole.items() if not name.endswith("test")}
    with pytest.raises(UserError, match="no file 'test'"):
        cifar.read(tar(tmp_path / "no-test.tgz", without), per_class=1)
    with pytest.raises(UserError, match="test: No such file"):
        cifar.read(lay_out(tmp_path / "no-test", without), per_class=1)
    short = tar(tmp_path / "short.tgz", whole)
    short.write_bytes(short.read_bytes()[:-5000])
    with pytest.raises(UserError, match="short.tgz"):
        cifar.read(short, per_class=1)


@pytest.mark.parametrize("error", [URLError("no route"), RuntimeError("bad checksum")])
def test_a_failed_download_says_the_manual_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    class CIFAR100:
        url, filename = "https://example.org/c.tar.gz", "c.tar.gz"

        def __init__(self, root: str, download: bool) -> None:
            raise error

    fake = SimpleNamespace(CIFAR100=CIFAR100)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", fake)
    with pytest.raises(UserError, match="https://example.org/c.tar.gz by other means"):
        data.fetch_dataset("cifar-fs", tmp_path)
    assert data.available(tmp_path) == []


# -- one's own images, and names


def import_birds(directory: Path, split: str | None = "60/20/20", **options: Any) -> Any:
    source = lay_out(directory / "photos", small_set())
    return data.import_dataset("my-birds", source, directory / "data", split=split, **options)


def test_own_images_are_resized_and_split(tmp_path: Path) -> None:
    store = import_birds(tmp_path, size=12)
    assert store.images_IHWC.shape == (15, 12, 12, 3)
    assert "bicubic" in store.info["how"]
    opened = [data.open_source("my-birds", part, tmp_path / "data") for part in SPLITS]
    assert [len(source.class_names) for source in opened] == [3, 1, 1]
    assert {name for source in opened for name in source.class_names} == set(CLASSES)
    assert opened[0].mean == folder.MEAN
    assert import_birds(tmp_path / "again").images_IHWC.shape == (15, 84, 84, 3)


def test_own_images_with_a_split_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('train = ["eel", "ant"]\nval = ["bee"]\ntest = ["dog", "cat"]')
    import_birds(tmp_path, str(mine))
    mine.unlink()  # the store has a copy
    assert data.open_source("my-birds", "train", tmp_path / "data").class_names == ("ant", "eel")
    mine.write_text('train = ["eel", "ant"]\nval = ["bee"]\ntest = ["dog"]')
    with pytest.raises(UserError, match="class 'cat' not in the split"):
        import_birds(tmp_path, str(mine))


@pytest.mark.parametrize("split", ["60/20", "nowhere.toml", "1/0/1"])
def test_a_split_that_is_none(tmp_path: Path, split: str) -> None:
    with pytest.raises(UserError, match="split"):
        import_birds(tmp_path, split)
    assert data.available(tmp_path / "data") == []


def test_a_class_of_one_image_is_refused(tmp_path: Path) -> None:
    lay_out(tmp_path / "photos", {"fox/0.png": encode()})
    with pytest.raises(UserError, match="class 'fox' has 1 image"):
        import_birds(tmp_path)


def test_names_are_checked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown data set 'my-birds'"):
        import_birds(tmp_path, None)
    with pytest.raises(UserError, match="did you mean 'cifar-fs'"):
        data.open_source("cifar-sf", "train", tmp_path)
    with pytest.raises(UserError, match="unknown data set"):
        data.import_dataset("../up", tmp_path, tmp_path, split="1/1/1")
    with pytest.raises(UserError, match="leave --size and --split out"):
        data.import_dataset("fc100", tmp_path, tmp_path, size=84)
    with pytest.raises(UserError, match="drawn, not imported"):
        data.import_dataset("glyphs", tmp_path, tmp_path)
    with pytest.raises(UserError, match="no download"):
        data.fetch_dataset("mini-imagenet", tmp_path)
    with pytest.raises(UserError, match="run `fewshot data import fc100 SOURCE`"):
        data.open_source("fc100", "train", tmp_path)


def test_glyphs_are_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def read(_: Path) -> Reading:
        drawn.append(1)
        time.sleep(0.1)
        return Reading(*data.glyphs.read(images_per_class=1))

    monkeypatch.setitem(data.DATASETS, "glyphs", replace(data.DATASETS["glyphs"], read=read))
    with ThreadPoolExecutor(3) as pool:  # all of them find no store at first
        opened = pool.map(lambda part: data.open_source("glyphs", part, tmp_path), SPLITS)
        prints = {source.fingerprint for source in opened}
    assert len(prints) == len(drawn) == 1
    data.verify_dataset("glyphs", tmp_path)
    assert data.fetch_dataset("glyphs", tmp_path).fingerprint in prints


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="cannot write"):
        data.fetch_dataset("glyphs", tmp_path / "file")


def test_where_the_data_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FEWSHOT_DATA", raising=False)
    assert data.data_dir().parts[-2:] == ("fewshot", "data")
    monkeypatch.setenv("FEWSHOT_DATA", str(tmp_path))
    assert data.data_dir() == tmp_path
    assert data.data_dir(Path("here")) == Path("here")


# -- the real images


@pytest.mark.realdata
@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the real images are not here")
def test_real_cifar_imports_within_a_minute(tmp_path: Path) -> None:
    start = time.perf_counter()
    store = data.import_dataset("cifar-fs", SHARED_DATA / "cifar100.zip", tmp_path)
    assert time.perf_counter() - start < 60
    assert store.images_IHWC.shape == (60_000, 32, 32, 3)
    assert store.fingerprint == "b2d584679834efb7"
    mean = store.images_IHWC.mean(axis=(0, 1, 2)) / 255
    assert mean == pytest.approx(data.DATASETS["cifar-fs"].mean, abs=1e-3)
