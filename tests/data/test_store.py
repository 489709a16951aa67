"""A store appears whole or not at all, and says so when it is damaged."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fewshot.data import store as store_module
from fewshot.data.sources.source import Reading
from fewshot.data.store import Store, open_store, verify_store, write_store
from fewshot.errors import UserError
from fewshot.files import only_writer

SIZES = {"ant": 3, "bee": 2, "cat": 4}


def make_images(n: int = 9, size: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), np.uint8)


def reading(images: np.ndarray, sizes: dict[str, int] = SIZES, **info: object) -> Reading:
    return Reading(sizes, lambda start, stop: iter([images[start:stop]]), info)


def write(
    path: Path,
    seed: int = 0,
    images: np.ndarray | None = None,
    class_sizes: dict[str, int] = SIZES,
    image_size: int = 5,
    info: dict[str, object] | None = None,
    **options: Any,
) -> Store:
    images = make_images(seed=seed) if images is None else images
    return write_store(path, reading(images, class_sizes, **(info or {})), image_size, **options)


@given(
    sizes=st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=5),
        st.integers(1, 4),
        min_size=1,
        max_size=5,
    ),
    edge=st.integers(1, 4),
)
@settings(max_examples=25, deadline=None)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, sizes: dict[str, int], edge: int
) -> None:
    sizes = dict(sorted(sizes.items()))
    images = make_images(sum(sizes.values()), edge)
    path = tmp_path_factory.mktemp("data") / "set"
    store = write_store(path, reading(images, sizes, source="a.zip"), edge)
    assert store.class_names == tuple(sizes)
    assert np.array_equal(store.images_IHWC, images)
    assert store.class_sizes.tolist() == list(sizes.values())
    assert store.class_starts.tolist() == [sum(store.class_sizes[:c]) for c in range(len(sizes))]
    assert store.info["source"] == "a.zip"
    verify_store(store)


def test_the_array_is_plain_npy(tmp_path: Path) -> None:
    write(tmp_path / "set")
    np.save(tmp_path / "plain.npy", make_images())
    assert (tmp_path / "set/images.npy").read_bytes() == (tmp_path / "plain.npy").read_bytes()


def test_the_fingerprint_follows_names_sizes_and_pixels(tmp_path: Path) -> None:
    same = [write(tmp_path / "a"), write(tmp_path / "b", info={"source": "elsewhere"})]
    renamed = write(tmp_path / "c", class_sizes={"ant": 3, "bee": 2, "cow": 4})
    resized = write(tmp_path / "d", class_sizes={"ant": 2, "bee": 3, "cat": 4})
    repainted = write(tmp_path / "e", seed=1)
    prints = [store.fingerprint for store in (*same, renamed, resized, repainted)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 4


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError, UserError])
@pytest.mark.parametrize("older", [False, True])
def test_a_failed_import_leaves_no_trace(
    tmp_path: Path, error: type[BaseException], older: bool
) -> None:
    path = tmp_path / "set"
    if older:
        write(path)
    before = sorted(tmp_path.rglob("*"))

    def broken(start: int, stop: int) -> Iterator[np.ndarray]:
        yield make_images(1)
        assert any(p.name == ".set.partial" for p in tmp_path.iterdir())
        assert path.exists() == older
        raise error("boom")

    with pytest.raises(UserError if error is OSError else error):
        write_store(path, Reading(SIZES, broken, {}), 5)
    assert sorted(tmp_path.rglob("*")) == before
    if older:
        verify_store(open_store(path))


@pytest.mark.parametrize("failing", [1, 2])
def test_a_failed_rename_brings_the_older_store_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    store = write(tmp_path / "set")
    rename, calls = Path.rename, []

    def rename_failing(self: Path, target: Path) -> Path:
        calls.append(self)
        if len(calls) == failing:
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_failing)
    with pytest.raises(UserError, match="cannot write"):
        write(tmp_path / "set", seed=1)
    assert open_store(tmp_path / "set").fingerprint == store.fingerprint
    assert os.listdir(tmp_path) == ["set"]


def test_a_new_import_replaces_the_older_store(tmp_path: Path) -> None:
    old = write(tmp_path / "set")
    new = write(tmp_path / "set", seed=1)
    assert new.fingerprint != old.fingerprint
    assert os.listdir(tmp_path) == ["set"]


def test_a_folder_that_is_no_store_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/holiday.jpg").write_bytes(b"dear")
    with pytest.raises(UserError, match="not a data set"):
        write(tmp_path / "set")
    assert (tmp_path / "set/holiday.jpg").read_bytes() == b"dear"


def test_the_next_writer_clears_what_a_killed_one_left(tmp_path: Path) -> None:
    (tmp_path / ".set.tmp-123-abcd").mkdir()
    (tmp_path / ".settings").mkdir()
    with only_writer(tmp_path / "set"):
        pass
    assert not (tmp_path / ".set.tmp-123-abcd").exists()
    assert (tmp_path / ".settings").exists()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (make_images(8), "class 'cat': 3 images where 4"),
        (make_images(9, 6), r"class 'ant': an image of \(6, 6, 3\)"),
        (make_images().astype(np.float32), "float32"),
    ],
)
def test_images_must_be_those_announced(tmp_path: Path, images: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        write(tmp_path / "set", images=images)
    assert not os.listdir(tmp_path)


def test_opening_reads_no_image_and_verifying_reads_all(tmp_path: Path) -> None:
    store = write(tmp_path / "set")
    with (tmp_path / "set/images.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    damaged = open_store(tmp_path / "set")
    assert isinstance(damaged.images_IHWC, np.memmap)
    assert damaged.fingerprint == store.fingerprint
    with pytest.raises(UserError, match="class 'cat' is damaged"):
        verify_store(damaged)


def test_writing_into_an_open_store_does_not_reach_the_disk(tmp_path: Path) -> None:
    store = write(tmp_path / "set")
    with suppress(ValueError):  # it may be read-only
        store.images_IHWC[:] = 0
    assert np.array_equal(open_store(tmp_path / "set").images_IHWC, make_images())


def test_a_missing_store_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="no data set 'cifar-fs' in .*`fewshot data import cifar-fs"
    ):
        open_store(tmp_path / "cifar-fs")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"version": 1}', b"null"])
def test_a_damaged_index_is_a_plain_error(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "set")
    (tmp_path / "set/index.json").write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        open_store(tmp_path / "set")


@pytest.mark.parametrize("keep", [0, 5, 64, 200])
def test_truncated_images_are_a_plain_error(tmp_path: Path, keep: int) -> None:
    write(tmp_path / "set")
    os.truncate(tmp_path / "set/images.npy", keep)
    with pytest.raises(UserError, match="damaged"):
        open_store(tmp_path / "set")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", 99, "version 99"),
        ("class_sizes", [2, 3, 4], "does not fit"),
        ("class_names", ["ant", "bee", "cow"], "does not fit"),
        ("image_size", 6, "does not fit"),
    ],
)
def test_an_index_that_does_not_fit(tmp_path: Path, key: str, value: object, message: str) -> None:
    write(tmp_path / "set")
    index = tmp_path / "set/index.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), key: value}))
    with pytest.raises(UserError, match=message):
        open_store(tmp_path / "set")


@pytest.mark.parametrize("forked", [True, False])
def test_processes_and_threads_write_the_same_store(tmp_path: Path, forked: bool) -> None:
    """In a process of its own: beside the threads of a test runner nothing is forked."""
    code = (
        "import sys, pathlib, numpy as np, os;"
        "from fewshot.data import store, workers; from fewshot.data.sources.source import Reading;"
        "forked = sys.argv[2] == 'True';"
        "assert workers.can_fork();"
        "workers.can_fork = lambda: forked;"
        "first = os.getpid(); names = sorted(map(str, range(40)));"
        "images = np.arange(40 * 3 * 192, dtype=np.uint64).astype(np.uint8);"
        "images = images.reshape(-1, 8, 8, 3);\n"
        "def part(start, stop):\n"
        "    assert (os.getpid() != first) == forked\n"
        "    yield images[start:stop]\n"
        "sizes = dict.fromkeys(names, 3);"
        "made = store.write_store(pathlib.Path(sys.argv[1]), Reading(sizes, part, {}), 8);"
        "assert np.array_equal(made.images_IHWC, images);"
        "store.verify_store(made); print(made.fingerprint)"
    )
    command = [sys.executable, "-c", code, tmp_path / "set", str(forked)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "d32d2074d3769944"


def test_a_worker_that_is_killed_is_told(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, pathlib, numpy as np; from fewshot.errors import UserError;"
        "from fewshot.data import store, workers; from fewshot.data.sources.source import Reading\n"
        "def part(start, stop):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "    yield\n"
        "try:\n"
        "    store.write_store(pathlib.Path(sys.argv[1]), Reading({'a': 3}, part, {}), 8)\n"
        "except UserError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", code, tmp_path / "set"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert "was ended" in done.stdout
    assert not os.listdir(tmp_path)


# -- imports that are interrupted


@pytest.fixture
def noted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if each class were as large as those of tieredImageNet, written one after another."""
    monkeypatch.setattr("fewshot.data.workers.can_fork", lambda: False)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    monkeypatch.setattr(store_module, "JOURNAL_BYTES", 1)


class Source:
    """Images of which some can be taken before the process dies, and what was asked for."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.stop_at, self.asked_for = stop_at, list[int]()

    def reading(self) -> Reading:
        return Reading(SIZES, self.images, {"how": "made"})

    def images(self, start: int, stop: int) -> Iterator[np.ndarray]:
        self.asked_for.append(start)
        for row in range(start, stop):
            if row == self.stop_at:
                raise KeyboardInterrupt
            yield make_images()[row : row + 1]


@pytest.mark.usefixtures("noted_at_once")
@pytest.mark.parametrize(
    ("stop_at", "goes_on_at"), [(0, 0), (2, 0), (3, 3), (4, 3), (5, 5), (8, 5)]
)
def test_an_interrupted_import_goes_on_where_it_was(
    tmp_path: Path, stop_at: int, goes_on_at: int
) -> None:
    whole = write(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        write_store(tmp_path / "set", Source(stop_at).reading(), 5, stamp="zip")
    assert not (tmp_path / "set").exists()
    source = Source()
    store = write_store(tmp_path / "set", source.reading(), 5, stamp="zip")
    assert min(source.asked_for) == goes_on_at
    assert store.fingerprint == whole.fingerprint
    assert (store.path / "images.npy").read_bytes() == (whole.path / "images.npy").read_bytes()
    assert store.class_summaries == whole.class_summaries
    assert sorted(os.listdir(store.path)) == ["images.npy", "index.json"]
    assert sorted(os.listdir(tmp_path)) == ["set", "whole"]


@pytest.mark.usefixtures("noted_at_once")
@pytest.mark.parametrize("change", ["stamp", "size", "images lost", "journal damaged"])
def test_an_import_of_something_else_starts_anew(tmp_path: Path, change: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_store(tmp_path / "set", Source(6).reading(), 5, stamp="zip")
    partial = tmp_path / ".set.partial"
    if change == "images lost":  # as after a power cut
        os.truncate(partial / "images.npy", 200)
    if change == "journal damaged":
        (partial / "journal.json").write_bytes(b'{"key": ')
    source = Source()
    reading_ = source.reading()
    if change == "size":
        reading_ = reading_._replace(class_sizes={"ant": 3, "bee": 3, "cat": 3})
    store = write_store(
        tmp_path / "set", reading_, 5, stamp="other" if change == "stamp" else "zip"
    )
    assert min(source.asked_for) == 0
    assert np.array_equal(store.images_IHWC, make_images())
    verify_store(store)


def test_a_small_import_that_fails_leaves_nothing_to_go_on_with(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_store(tmp_path / "set", Source(8).reading(), 5, stamp="zip")
    assert not os.listdir(tmp_path)


@pytest.mark.slow
def test_a_killed_import_gives_the_same_store(tmp_path: Path) -> None:
    """A real process, killed by the system while it decodes, and the command given again."""
    source = tmp_path / "photos"
    for name in SIZES:
        (source / name).mkdir(parents=True)
        for i in range(150):
            Image.fromarray(make_images(1, 400, i)[0]).save(source / name / f"{i}.png")
    code = (
        "import sys, pathlib; from fewshot import data; from fewshot.data import store;"
        "store.JOURNAL_BYTES = 1;"
        "data.import_dataset('own', pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), {},"
        " split='1/1/1', size=300)"
    )
    whole, killed = ([sys.executable, "-c", code, source, tmp_path / name] for name in "wk")
    subprocess.run(whole, check=True)
    process = subprocess.Popen(killed)
    journal = tmp_path / "k" / ".own.partial" / "journal.json"
    while not journal.exists():
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "k" / "own").exists()
    subprocess.run(killed, check=True)
    one, other = (open_store(tmp_path / name / "own") for name in "wk")
    assert one.fingerprint == other.fingerprint
    verify_store(other)
