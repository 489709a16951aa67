"""Sources of images for the tests, written as the tools that people have write them."""

import io
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from zipfile import ZipFile

import numpy as np
from PIL import Image

from fewshot.data.catalogue import known_datasets
from fewshot.data.splits import load_split

DATASETS = known_datasets()


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
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


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


def tar(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def plain_tar(path: Path, files: dict[str, bytes]) -> Path:
    return tar(path, files, mode="w")
