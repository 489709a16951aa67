"""Damaged and hostile pickles, archives, arrays and images: an error or a right result.

The cases run in a process of their own, so that a crash, a hang or code run by a file shows:
`python tests/data/test_fuzz.py FIRST LAST` runs them by hand, in the folder where it is called.
"""

import faulthandler
import gzip
import io
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from fewshot.data import workers
from fewshot.data.sources.images import load_image
from fewshot.data.untrusted.arrays import Array, open_npy, open_npz
from fewshot.data.untrusted.blobs import Blob
from fewshot.data.untrusted.files import open_files
from fewshot.data.untrusted.pickles import load_pickle
from fewshot.errors import UserError

CASES = 2000
CASE_S, MEMORY = 10, 2 << 30  # what a case may take; the imports alone map half a gigabyte
SIZE = 16
FORBIDDEN = {
    *("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "subprocess.Popen"),
    *("os.rename", "os.symlink", "socket.connect", "ctypes.dlopen"),
    "pickle.find_class",
}
Rng = np.random.Generator


# -- what is damaged


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch canary",)


def pickle_seeds() -> list[bytes]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 8, 8, 3), np.uint8)
    table = {"data": images, "labels": [0, 1, np.int64(2)], b"x": (1.5, None, True, 2**40)}
    lists = [bytearray(rng.bytes(5000)), "text", [b"abc"], np.array([b"a", {"b": 1}], object)]
    floats = np.asfortranarray(rng.random((4, 5)))
    hostile = [pickle.dumps([1, Evil()], protocol) for protocol in (0, 2, 4)]
    values = (table, lists, [floats, floats[:, 0], np.array(["ab", "c"])])
    return [pickle.dumps(value, p) for value in values for p in range(6)] + hostile


FILES = {f"n{c}/{i}.png": bytes([c, i]) * 300 for c in range(2) for i in range(3)}


def zip_seeds() -> list[bytes]:
    seeds = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            for name, data in FILES.items():
                archive.writestr(name, data)
            with archive.open("wide", "w", force_zip64=True) as member:
                member.write(b"wide")
        seeds.append(file.getvalue())
    return seeds


def tar_seeds() -> list[bytes]:
    seeds = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=form) as archive:
            inner = [("inner.tar", seeds[0])] if seeds else []
            for name, data in [*inner, *FILES.items(), (f"{'d' * 90}/é.png", b"long")]:
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        data = file.getvalue().rstrip(b"\0")
        seeds.append(data + bytes(-len(data) % 512 + 1024))  # not all the zeros at the end
    return seeds


def npy_seeds() -> list[bytes]:
    seeds = []
    for array in (np.arange(24.0).reshape(2, 3, 4), np.array(["ab", "c"]), np.uint8(3)):
        for order in ("C", "F"):
            file = io.BytesIO()
            np.save(file, np.asarray(array, order=order))
            seeds.append(file.getvalue())
    return seeds


def npz_seeds() -> list[bytes]:
    seeds = []
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, images=np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3), labels=np.arange(2))
        seeds.append(file.getvalue())
    return seeds


def image_seeds(form: str) -> list[bytes]:
    pixels = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 4), np.uint8)
    whole = Image.fromarray(pixels)
    seeds = []
    for mode in ("RGB", "L", "P", "RGBA", "1"):
        if (form, mode) not in {("JPEG", "RGBA"), ("JPEG", "P"), ("WEBP", "P"), ("WEBP", "1")}:
            file = io.BytesIO()
            exif = Image.Exif()
            exif[0x0112] = 6  # turned by 90 degrees
            whole.convert(mode).save(file, form, exif=exif)
            seeds.append(file.getvalue())
    return seeds


# -- how it is read, and whether what comes out is right


def read_pickle(path: Path) -> None:
    check_values(load_pickle(Blob.of_file(path)))


def check_values(value: Any) -> None:
    if isinstance(value, Array):
        assert value.numpy().shape == value.shape
        assert all(value.part(i).shape == value.shape[1:] for i in range(len(value.shape[:1])))
    elif type(value) in (list, tuple, dict):
        for part in value.values() if isinstance(value, dict) else value:
            check_values(part)
    elif isinstance(value, Blob):
        assert len(value.read()) == value.size
    else:
        assert type(value) in (str, bytes, int, float, bool, type(None))


def read_archive(path: Path) -> None:
    files = open_files(path)
    assert list(files.names) == sorted(set(files.names))
    for name in files.names:
        assert not {"", ".", ".."} & set(name.split("/")), name
        data = files.read(name)
        assert len(data) == files.size(name) == files.blob(name).size
        assert data == files.blob(name).read()


def read_npy(path: Path) -> None:
    check_values(open_npy(Blob.of_file(path)))


def read_npz(path: Path) -> None:
    check_values(open_npz(Blob.of_file(path)))


def read_image(path: Path) -> None:
    for resample in (None, "bicubic"):
        image = load_image(path.read_bytes(), path.name, SIZE, resample)
        assert image.shape == (SIZE, SIZE, 3)
        assert image.dtype == np.uint8


class Kind(NamedTuple):
    """seal: what makes damage inside whole again, such as checksums."""

    suffix: str
    seeds: list[bytes]
    read: Callable[[Path], None]
    seal: Callable[[bytes], bytes] = bytes


def seal_png(data: bytes) -> bytes:
    """With the right checksum in each chunk, so that what is in the chunks is looked at."""
    sealed, at = data[:8], 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        chunk = data[at + 4 : at + 8 + size]
        sealed += data[at : at + 4] + chunk + struct.pack(">I", zlib.crc32(chunk))
        at += 12 + size
    return sealed


def seal_tar(data: bytes) -> bytes:
    """With the right checksum in each header that looks like one."""
    sealed = bytearray(data)
    for at in range(0, len(sealed) - 511, 512):
        if sealed[at + 257 : at + 262] == b"ustar":
            total = sum(sealed[at : at + 512]) - sum(sealed[at + 148 : at + 156]) + 256
            sealed[at + 148 : at + 156] = b"%06o\0 " % total
    return bytes(sealed)


def kinds() -> list[Kind]:
    images = [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP"), ("bmp", "BMP"), ("gif", "GIF")]
    return [
        Kind("pkl", pickle_seeds(), read_pickle),
        Kind("zip", zip_seeds(), read_archive),
        Kind("tar", tar_seeds(), read_archive, seal_tar),
        Kind("tar.gz", [gzip.compress(seed) for seed in tar_seeds()], read_archive),
        Kind("tgz", tar_seeds(), read_archive, lambda data: gzip.compress(seal_tar(data), 1)),
        Kind("npz", npz_seeds(), read_npz),
        Kind("npy", npy_seeds(), read_npy),
        *(
            Kind(suffix, image_seeds(form), read_image)
            for suffix, form in [*images, ("tif", "TIFF")]
        ),
        Kind("png", image_seeds("PNG"), read_image, seal_png),
    ]


# -- how it is damaged


EXTREMES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 1 << 31, (1 << 31) - 1, (1 << 32) - 1]


def damage(rng: Rng, data: bytes, other: bytes) -> bytes:
    """One change of one of the usual kinds. other: another file of this kind, to splice in."""
    where, end = sorted(rng.integers(0, len(data) + 1, 2))
    near = min(end, where + int(rng.integers(1, 64)))
    match rng.integers(8):
        case 0:
            changed = bytearray(data)
            for at in rng.integers(0, max(len(data), 1), rng.integers(1, 9)) if data else ():
                changed[at] ^= 1 << rng.integers(8)
            return bytes(changed)
        case 1:
            return data[:where]
        case 2:
            return data[:where] + rng.bytes(rng.integers(1, 20)) + data[where:]
        case 3:
            return data[:where] + data[near:]
        case 4:
            return data[:near] + data[where:near] * int(rng.integers(1, 50)) + data[near:]
        case 5:
            start, stop = sorted(rng.integers(0, len(other) + 1, 2))
            return data[:where] + other[start:stop] + data[near:]
        case 6:
            number = int(rng.choice(EXTREMES)) + int(rng.integers(-2, 3))
            form = str(rng.choice(["<H", ">H", "<I", ">I", "<Q", ">Q", "B"]))
            size = struct.calcsize(form)
            field = struct.pack(form, number % (1 << 8 * size))
            return data[:where] + field + data[where + size :]
        case _:
            digits = b"%d" % rng.choice([-1, 0, 7, 9**9, 9**18])
            return data[:where] + digits + data[where + len(digits) :]


def run_case(folder: Path, known: list[Kind], i: int) -> str:
    """Make case `i` and read it: 'right', or 'error' if that is what it says."""
    kind = known[i % len(known)]
    rng = np.random.default_rng([2024, i])
    data, other = (kind.seeds[rng.integers(len(kind.seeds))] for _ in range(2))
    for _ in range(rng.integers(1, 4)):
        data = damage(rng, data, other)
    path = folder / f"case.{kind.suffix}"
    path.write_bytes(kind.seal(data))
    try:
        kind.read(path)
    except UserError as error:
        return "error" if str(error).isprintable() else f"not of one line: {error}"
    return "right"


def watch(event: str, _: tuple[Any, ...]) -> None:
    if event in FORBIDDEN:
        os.write(2, f"forbidden: {event}\n".encode())
        os._exit(66)


def main(first: int, last: int) -> None:
    faulthandler.dump_traceback_later(CASE_S, exit=True)
    workers.can_fork = lambda: False  # what a tar of tars makes is watched too
    folder, known = Path(), kinds()
    for kind in known:  # what is whole can be read, so that it is the damage that is tested
        for seed in kind.seeds:
            if b"canary" not in seed:
                path = folder / f"whole.{kind.suffix}"
                path.write_bytes(kind.seal(seed))
                kind.read(path)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.addaudithook(watch)
    counts: Counter[str] = Counter()
    for i in range(first, last):
        faulthandler.dump_traceback_later(CASE_S, exit=True)
        try:
            counts[run_case(folder, known, i)] += 1
        except BaseException:
            print(f"case {i}, a {known[i % len(known)].suffix}", file=sys.stderr)
            raise
    faulthandler.cancel_dump_traceback_later()
    assert not (folder / "canary").exists()
    print(json.dumps(counts))


def fuzz(folder: Path, first: int, last: int) -> None:
    """Run these cases; fails where one gives anything else than an error or a right result."""
    command = [sys.executable, "-W", "error", __file__, str(first), str(last)]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout)
    assert counts["error"] + counts["right"] == last - first, counts
    assert counts["error"] > (last - first) / 2
    assert counts["right"] > (last - first) / 20


def test_damaged_files_give_an_error_or_a_right_result(tmp_path: Path) -> None:
    fuzz(tmp_path, 0, CASES // 5)


@pytest.mark.slow
def test_many_damaged_files_give_an_error_or_a_right_result(tmp_path: Path) -> None:
    fuzz(tmp_path, 0, CASES)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
