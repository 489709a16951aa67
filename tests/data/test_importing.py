"""Imports, downloads and drawings of data sets, of the real images too, and opening the stores."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.made_data import (
    DATASETS,
    cifar_images,
    dump_python2,
    encode,
    lay_out,
    official_files,
    tar,
)
from helpers.paths import SHARED_DATA

from fewshot import data
from fewshot.data.sources import cifar, glyphs
from fewshot.data.sources.forms import OWN
from fewshot.data.sources.source import Alternatives, Reading
from fewshot.episodes.sampling import SPLITS
from fewshot.errors import UserError

CLASSES = ("ant", "bee", "cat", "dog", "eel")


def small_set(prefix: str = "") -> dict[str, bytes]:
    """Five classes of three images, not in order."""
    places = [(name, i) for i in (2, 0, 1) for name in reversed(CLASSES)]
    return {f"{prefix}{c}/{i}.png": encode(seed) for seed, (c, i) in enumerate(places)}


# -- downloads


def test_every_data_set_of_the_suite_is_drawn_or_can_be_fetched() -> None:
    for known in DATASETS.values():
        assert (known.drawn is None) == (known.downloads is not None)


def test_what_was_fetched_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"fc100": replace(DATASETS["fc100"], check=partial(cifar.check, per_class=1))}
    official = official_files(cifar_images(1), dump_python2)
    said: list[str] = []

    def fetched(
        name: str, alternatives: Alternatives, folder: Path, say: Callable[[str], None]
    ) -> Path:
        assert alternatives[0][0].name == "cifar-100-python.tar.gz"
        say(f"getting {name}")
        return tar(folder / "cifar-100-python.tar.gz", official)

    monkeypatch.setattr("fewshot.data.fetch.fetch_source", fetched)
    store = data.fetch_dataset("fc100", tmp_path, small, said.append)
    assert store.images_IHWC.shape == (100, 32, 32, 3)
    assert said == [
        "getting fc100",
        "cifar-100-python.tar.gz: the official Python archive, 3 files",
    ]


# -- one's own images, and names


def import_birds(directory: Path, split: str | None = "60/20/20", **options: Any) -> Any:
    source = lay_out(directory / "photos", small_set())
    directory = directory / "data"
    return data.import_dataset("my-birds", source, directory, DATASETS, split=split, **options)


def test_own_images_are_resized_and_split(tmp_path: Path) -> None:
    store = import_birds(tmp_path, size=12)
    assert store.images_IHWC.shape == (15, 12, 12, 3)
    assert "bicubic" in store.info["how"]
    opened = [data.open_source("my-birds", part, tmp_path / "data", DATASETS) for part in SPLITS]
    assert [len(source.class_names) for source in opened] == [3, 1, 1]
    assert {name for source in opened for name in source.class_names} == set(CLASSES)
    assert opened[0].mean == OWN.mean
    assert import_birds(tmp_path / "again").images_IHWC.shape == (15, 84, 84, 3)


def test_own_images_with_a_split_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('train = ["eel", "ant"]\nval = ["bee"]\ntest = ["dog", "cat"]')
    import_birds(tmp_path, str(mine))
    mine.unlink()  # the store has a copy
    source = data.open_source("my-birds", "train", tmp_path / "data", DATASETS)
    assert source.class_names == ("ant", "eel")
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
        data.open_source("cifar-sf", "train", tmp_path, DATASETS)
    with pytest.raises(UserError, match="unknown data set"):
        data.import_dataset("../up", tmp_path, tmp_path, DATASETS, split="1/1/1")
    with pytest.raises(UserError, match="leave --split out"):
        data.import_dataset("fc100", tmp_path, tmp_path, DATASETS, split="1/1/1")
    with pytest.raises(UserError, match="unknown way to resample 'cubic': did you mean 'bicubic'"):
        import_birds(tmp_path, resample="cubic")
    with pytest.raises(UserError, match="drawn, not imported"):
        data.import_dataset("glyphs", tmp_path, tmp_path, DATASETS)
    with pytest.raises(UserError, match="run `fewshot data import fc100 SOURCE`"):
        data.open_source("fc100", "train", tmp_path, DATASETS)


def test_a_store_without_a_split_or_a_class_is_one_clear_line(tmp_path: Path) -> None:
    store = import_birds(tmp_path)
    (store.path / "split.toml").write_text('train = ["ant"]\nval = ["bee"]\ntest = ["owl"]')
    with pytest.raises(UserError, match="missing class 'owl'"):
        data.open_source("my-birds", "test", tmp_path / "data", DATASETS)
    (store.path / "split.toml").unlink()
    with pytest.raises(UserError, match="my-birds: no split.toml says which classes are which"):
        data.open_source("my-birds", "test", tmp_path / "data", DATASETS)


def test_what_is_not_here_is_not_drawn_where_only_what_is_here_is_asked_for(tmp_path: Path) -> None:
    for name in ("glyphs", "park"):
        with pytest.raises(UserError, match=f"no data set '{name}'"):
            data.open_source(name, "test", tmp_path, DATASETS, draw=False)
    assert not list(tmp_path.iterdir())


def test_glyphs_are_drawn_once(tmp_path: Path) -> None:
    drawn = []

    def draw() -> Reading:
        drawn.append(1)
        time.sleep(0.1)
        return glyphs.read(images_per_class=1)

    few = {"glyphs": replace(DATASETS["glyphs"], drawn=draw)}
    with ThreadPoolExecutor(3) as pool:  # all of them find no store at first
        opened = pool.map(lambda part: data.open_source("glyphs", part, tmp_path, few), SPLITS)
        prints = {source.fingerprint for source in opened}
    assert len(prints) == len(drawn) == 1
    data.verify_dataset("glyphs", tmp_path, few)
    assert data.fetch_dataset("glyphs", tmp_path, few).fingerprint in prints


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="cannot write"):
        data.fetch_dataset("glyphs", tmp_path / "file", DATASETS)


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
    store = data.import_dataset("cifar-fs", SHARED_DATA / "cifar100.zip", tmp_path, DATASETS)
    assert time.perf_counter() - start < 60
    assert store.images_IHWC.shape == (60_000, 32, 32, 3)
    assert store.fingerprint == "b2d584679834efb7"
    mean = store.images_IHWC.mean(axis=(0, 1, 2)) / 255
    assert mean == pytest.approx(DATASETS["cifar-fs"].mean, abs=1e-3)


@pytest.mark.realdata
@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the real images are not here")
def test_real_cifar_is_the_same_from_its_archive(tmp_path: Path) -> None:
    """The zip's images, written as the official archive has them, and as the binary one."""
    store = data.import_dataset("fc100", SHARED_DATA / "cifar100.zip", tmp_path / "zip", DATASETS)
    rows_IB = store.images_IHWC.transpose(0, 3, 1, 2).reshape(-1, cifar.PIXELS)
    names = np.repeat(store.class_names, store.class_sizes)
    shuffled = np.random.default_rng(0).permutation(len(names))
    labels = [cifar.class_names().index(name) for name in names[shuffled]]
    records = np.column_stack([np.zeros_like(labels), labels, rows_IB[shuffled]]).astype(np.uint8)
    batches = {"train.bin": records[:50_000].tobytes(), "test.bin": records[50_000:].tobytes()}
    listed = {"fine_label_names.txt": "\n".join(cifar.class_names()).encode()}
    binary = tar(
        tmp_path / "binary.tar.gz",
        {f"cifar-100-binary/{n}": c for n, c in (batches | listed).items()},
    )
    again = data.import_dataset("fc100", binary, tmp_path / "binary", DATASETS)
    assert again.fingerprint == store.fingerprint
    assert np.array_equal(again.images_IHWC, store.images_IHWC)


@pytest.mark.realdata
@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the real images are not here")
def test_real_mini_imagenet_is_the_known_variant(tmp_path: Path) -> None:
    data.import_dataset("mini-imagenet", SHARED_DATA / "miniimagenet.zip", tmp_path, DATASETS)
    info = data.dataset_info("mini-imagenet", tmp_path, DATASETS)
    assert (info["images"], info["fingerprint"]) == (60_000, "0b52cad883aa3d5d")
    assert "WebP" in info["variant"]
    assert "unknown" not in info["variant"]
