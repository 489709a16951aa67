"""Arrays on disk, as numpy writes them in .npy and .npz files."""

import io
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fewshot.data.untrusted.arrays import Array, open_npy, open_npz
from fewshot.data.untrusted.blobs import Blob
from fewshot.errors import UserError

DTYPES = ["u1", "i1", ">i2", "<u4", ">i8", "f2", "<f4", ">f8", "?", "S5", "<U3", ">U3"]
PIXELS = np.random.default_rng(0).integers(0, 256, (7, 4, 5, 3), np.uint8)


def blob_of(path: Path, data: bytes) -> Blob:
    path.write_bytes(data)
    return Blob.of_file(path)


def npy_bytes(array: np.ndarray, **options: bool) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and np.array_equal(one, other)


# -- arrays


@pytest.mark.parametrize("fortran", [False, True])
@pytest.mark.parametrize("on_disk", [False, True])
def test_rows_are_those_of_the_whole(tmp_path: Path, fortran: bool, on_disk: bool) -> None:
    data = PIXELS.tobytes("F" if fortran else "C")
    array = Array(
        PIXELS.dtype, PIXELS.shape, blob_of(tmp_path / "x", data) if on_disk else data, fortran
    )
    assert len(array) == 7
    assert same(array.numpy(), PIXELS)
    for i, expected in enumerate(PIXELS):
        assert same(array.part(i), expected)
    for i in (-1, 7):
        with pytest.raises(IndexError):
            array.part(i)


def test_a_row_reads_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = Array(PIXELS.dtype, PIXELS.shape, blob_of(tmp_path / "x", PIXELS.tobytes()))
    reads = []
    whole = Blob.read
    monkeypatch.setattr(Blob, "read", lambda blob, *at: reads.append(at) or whole(blob, *at))
    array.part(3)
    assert reads == [(3 * 60, 60)]


def test_threads_may_read_rows(tmp_path: Path) -> None:
    array = Array(PIXELS.dtype, PIXELS.shape, blob_of(tmp_path / "x", PIXELS.tobytes()))
    rows = [*range(7)] * 50
    with ThreadPoolExecutor(8) as pool:
        assert same(np.stack(list(pool.map(array.part, rows))), PIXELS[rows])


def test_arrays_without_axes_or_values() -> None:
    scalar = Array(np.dtype("<i4"), (), b"\1\0\0\0")
    assert scalar.numpy() == 1
    with pytest.raises(TypeError):
        len(scalar)
    assert Array(np.dtype("u1"), (0, 5), b"").numpy().shape == (0, 5)
    assert Array(np.dtype("u1"), (2, 0), b"").part(1).shape == (0,)


@pytest.mark.parametrize("dtype", ["<U2", ">U2"])
def test_letters_that_are_none(dtype: str) -> None:
    good = np.array(["aé", "€"], dtype)
    assert same(Array(good.dtype, (2,), good.tobytes()).numpy(), good)
    for code in (0x110000, 0xD800, 0xFFFFFFFF):
        bad = np.array([ord("a"), code], f"{dtype[0]}u4").tobytes()
        with pytest.raises(UserError, match="damaged text"):
            Array(good.dtype, (1,), bad).numpy()


HUGE = 1 << 62


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [
        ("u1", (3,), 4),
        ("u1", (3,), 2),
        ("<f4", (3,), 3),
        ("u1", (HUGE, 4), 0),  # 2^64: nothing, in 64 bits
        ("u1", (HUGE, HUGE, 0), 0),
        ("u1", (1 << 40, 0), 0),
        ("u1", (-1, -3), 3),
        ("u1", (3.0,), 3),
        ("u1", (True, 3), 3),
        ("u1", (1,) * 33 + (3,), 3),
        ("S0", (HUGE,), 0),
        ("U0", (3,), 0),
        ("O", (1,), 8),
        ("V8", (1,), 8),
        ("M8[s]", (1,), 8),
        ("c8", (1,), 8),
        ("u1,u1", (1,), 2),
    ],
)
def test_what_makes_no_array(tmp_path: Path, dtype: str, shape: tuple[int, ...], size: int) -> None:
    with pytest.raises(UserError, match="^array: an array"):
        Array(np.dtype(dtype), shape, bytes(size))
    with pytest.raises(UserError, match="^x: an array"):
        Array(np.dtype(dtype), shape, blob_of(tmp_path / "x", bytes(size)))


# -- .npy and .npz


@settings(max_examples=40, deadline=None)
@given(
    array=st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays.arrays(
            dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
        )
    ),
    fortran=st.booleans(),
)
def test_npy_and_npz_as_numpy_writes_them(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, fortran: bool
) -> None:
    root = tmp_path_factory.mktemp("npy")
    array = np.asfortranarray(array) if fortran else array
    read = [open_npy(blob_of(root / "x.npy", npy_bytes(array)))]
    for save in (np.savez, np.savez_compressed):
        path = root / f"{save.__name__}.npz"
        save(path, array, other=array)
        opened = open_npz(Blob.of_file(path), root / "scratch")
        assert set(opened) == {"arr_0", "other"}
        read += opened.values()
    for found in read:
        assert found.numpy().dtype == array.dtype
        assert found.numpy().tobytes() == array.tobytes()
        assert found.shape == array.shape


def test_headers_of_python2_and_of_version_2(tmp_path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2L, 3L), }\n"
    one = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + b"abcdef"
    two = b"\x93NUMPY\2\0" + struct.pack("<I", len(header)) + header + b"abcdef"
    for data in (one, two):
        assert open_npy(blob_of(tmp_path / "x.npy", data)).numpy().tobytes() == b"abcdef"
    three = two.replace(b"NUMPY\2", b"NUMPY\3")
    with pytest.raises(UserError, match="version 3.0"):
        open_npy(blob_of(tmp_path / "x.npy", three))


def with_header(header: str) -> bytes:
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + bytes(6)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\1\0\xff\xff{}",
        b"\x93NUMPY\2\0\xff\xff\xff\x7f{}",
        npy_bytes(PIXELS)[:-1],
        npy_bytes(PIXELS) + b"1",
        npy_bytes(PIXELS)[:100],
        npy_bytes(np.array([{}, 1]), allow_pickle=True),
        npy_bytes(np.zeros(3, "u1,f4")),
        npy_bytes(np.zeros(3, "M8[s]")),
        with_header("{'descr': '|u1', 'fortran_order': False, 'shape': (6,), 'more': 1}"),
        with_header("{'descr': '|u1', 'fortran_order': False, 'shape': (-6,)}"),
        with_header("{'descr': '|u1', 'fortran_order': 2, 'shape': (6,)}"),
        with_header("{'descr': '|S99999999999', 'fortran_order': False, 'shape': (6,)}"),
        with_header("{'descr': ('|u1', (2, 3)), 'fortran_order': False, 'shape': (1,)}"),
        with_header("__import__('os').system('touch evil')"),
        with_header("(" * 900),
        with_header("-" * 900 + "1"),
        with_header("{'descr': '\\d'"),
        with_header("'%s'" % ("x" * 5000)),
    ],
)
def test_damaged_npy_files(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UserError, match="^x.npy: ") as caught:
        open_npy(blob_of(tmp_path / "x.npy", data)).numpy()
    assert "\n" not in str(caught.value)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", data)
    with pytest.raises(UserError, match="^x.npz: a.npy: "):
        open_npz(Blob.of_file(tmp_path / "x.npz"))["a"].numpy()


def test_what_is_no_npz(tmp_path: Path) -> None:
    for data in (b"", b"junk" * 99, npy_bytes(PIXELS)):
        with pytest.raises(UserError, match="^x.npz: "):
            open_npz(blob_of(tmp_path / "x.npz", data))
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", npy_bytes(PIXELS))
        archive.writestr("model.pkl", b"")
    with pytest.raises(UserError, match="it holds 'model.pkl'"):
        open_npz(Blob.of_file(tmp_path / "x.npz"))
    for open_, name in ((open_npy, "x.npy"), (open_npz, "x.npz")):
        with pytest.raises(UserError, match=f"^{name}: a web page"):
            open_(blob_of(tmp_path / name, b"<!DOCTYPE html>"))


def test_npz_in_a_damaged_zip_is_named(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", images=PIXELS)
    whole = (tmp_path / "x.npz").read_bytes()
    with pytest.raises(UserError, match="^x.npz: "):
        open_npz(blob_of(tmp_path / "x.npz", whole[: len(whole) // 2]))
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 16
    with pytest.raises(UserError, match="^x.npz: images.npy: "):
        open_npz(blob_of(tmp_path / "x.npz", bytes(flipped)))
