"""Every form in which people hold the data sets: found, read to the same bytes, damage named."""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from helpers.made_data import (
    DATASETS,
    cifar_images,
    dump_python2,
    encode,
    lay_out,
    official_files,
    pack,
    plain_tar,
    png_files,
    tar,
)
from PIL import Image

from fewshot import data
from fewshot.data import splits
from fewshot.data.sources import cifar, mini_imagenet, tiered_imagenet
from fewshot.data.store import Store, verify_store
from fewshot.episodes.sampling import SPLITS
from fewshot.errors import UserError

load_split = cache(splits.load_split)  # the files below ask for it thousands of times
Files = dict[str, bytes]
MODERN = partial(pickle.dumps, protocol=4)
PER_CLASS = {"cifar-fs": 3, "fc100": 3, "mini-imagenet": 2, "tiered-imagenet": 2}


CHECKS = {
    "cifar-fs": partial(cifar.check, per_class=3),
    "fc100": partial(cifar.check, per_class=3),
    "mini-imagenet": partial(mini_imagenet.check, per_class=2),
    "tiered-imagenet": partial(
        tiered_imagenet.check, images={"train": 702, "val": 194, "test": 320}
    ),
}
SMALL = DATASETS | {name: replace(DATASETS[name], check=check) for name, check in CHECKS.items()}
"""The data sets, content with a few images a class."""


def imported(name: str, source: Path, **options: object) -> Store:
    """The store of a source, in a folder beside it."""
    store = data.import_dataset(name, source, source.parent / "data", SMALL, **options)
    verify_store(store)
    return store


def refused(name: str, source: Path, **options: object) -> str:
    """What is said of a source that is refused, and nothing is left of it."""
    directory = source.parent / "data"
    with pytest.raises(UserError) as caught:
        data.import_dataset(name, source, directory, SMALL, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert not (directory / name).exists()
    assert not [p for p in directory.glob(".*") if p.suffix != ".lock"]
    return message


def npz(**arrays: np.ndarray) -> bytes:
    file = BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npz_compressed(**arrays: np.ndarray) -> bytes:
    file = BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def same(stores: list[Store]) -> bool:
    images = {(store.path / "images.npy").read_bytes() for store in stores}
    return len(images) == len({store.fingerprint for store in stores}) == 1


# -- CIFAR-100


def cifar_pixels(images: Files) -> dict[str, np.ndarray]:
    """images_IHWC of each class, in the order of the file names."""
    by_class: dict[str, list[bytes]] = {}
    for name in sorted(images):
        by_class.setdefault(name.split("/")[0], []).append(images[name])
    return {
        name: np.stack([np.frombuffer(raw, np.uint8).reshape(3, 32, 32) for raw in raws])
        .transpose(0, 2, 3, 1)
        .copy()
        for name, raws in by_class.items()
    }


def by_split(fold: str, images: Files) -> Iterator[tuple[str, np.ndarray, list[int]]]:
    """Of each split: the pixels, rows of the classes in turn, and labels in alphabetical order."""
    of_class = cifar_pixels(images)
    for split in SPLITS:
        names = load_split(fold).classes(split)
        pixels = np.stack([of_class[name] for name in names], axis=1)
        yield split, pixels.reshape(-1, 32, 32, 3), list(range(len(names))) * pixels.shape[0]


def fine_labels(fold: str, split: str, labels: list[int]) -> list[int]:
    return [cifar.class_names().index(load_split(fold).classes(split)[k]) for k in labels]


def binary_files(images: Files) -> Files:
    names = cifar.class_names()
    rows = [bytes([0, names.index(n.split("/")[0])]) + images[n] for n in sorted(images)]
    files = {"train.bin": b"".join(rows[::3] + rows[1::3]), "test.bin": b"".join(rows[2::3])}
    files |= {"fine_label_names.txt": "\n".join(names).encode(), "coarse_label_names.txt": b"x\n"}
    return {f"cifar-100-binary/{name}": content for name, content in files.items()}


def metaoptnet_files(fold: str, prefix: str, images: Files, dump: Callable[..., bytes]) -> Files:
    return {
        f"{prefix}{split}.pickle": dump({"data": pixels, "labels": labels})
        for split, pixels, labels in by_split(fold, images)
    }


def tadam_files(images: Files) -> Files:
    return {
        f"few-shot-{split}.npz": npz_compressed(
            features=pixels, targets=np.array(fine_labels("fc100", split, labels))
        )
        for split, pixels, labels in by_split("fc100", images)
    }


def bertinetto_files(images: Files) -> Files:
    files = {f"cifar100/data/{name}": content for name, content in png_files(images).items()}
    lists = {
        f"cifar100/splits/bertinetto/{split}.txt": "\n".join(
            load_split("cifar-fs").classes(split)
        ).encode()
        for split in SPLITS
    }
    return files | lists


CIFAR_FORMS: dict[str, Callable[[Files], Files]] = {
    "python, of Python 2": lambda images: official_files(images, dump_python2),
    "python, of Python 3": lambda images: official_files(images, MODERN),
    "binary": binary_files,
    "MetaOptNet's CIFAR-FS": lambda i: metaoptnet_files("cifar-fs", "CIFAR_FS_", i, dump_python2),
    "RFS's CIFAR-FS": lambda i: metaoptnet_files("cifar-fs", "CIFAR-FS/", i, MODERN),
    "MetaOptNet's FC100": lambda i: metaoptnet_files("fc100", "FC100_", i, dump_python2),
    "TADAM": tadam_files,
    "Bertinetto": bertinetto_files,
    "PNG folders": png_files,
}


@pytest.mark.parametrize("name", ["cifar-fs", "fc100"])
def test_every_form_of_cifar_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    images = cifar_images(3)
    stores = []
    for i, (form, make) in enumerate(CIFAR_FORMS.items()):
        archive = (pack, tar, plain_tar)[i % 3]
        suffix = {pack: "zip", tar: "tar.gz", plain_tar: "tar"}[archive]
        source = archive(tmp_path / form / f"source.{suffix}", make(images))
        folder = lay_out(tmp_path / f"{form} folder", make(images))
        stores += [imported(name, source), imported(name, folder)]
        assert stores[-1].info["form"] == stores[-2].info["form"]
    assert same(stores)
    pixels = np.concatenate(list(cifar_pixels(images).values()))
    assert np.array_equal(stores[0].images_IHWC, pixels)


@pytest.mark.parametrize("form", CIFAR_FORMS)
def test_a_damaged_form_of_cifar_is_refused(tmp_path: Path, form: str) -> None:
    files = CIFAR_FORMS[form](cifar_images(3))
    victim = max(files, key=lambda name: len(files[name]))
    cut = {**files, victim: files[victim][: len(files[victim]) // 2 - 1]}
    message = refused("cifar-fs", lay_out(tmp_path / "cut", cut))
    assert Path(victim).name in message
    if form not in ("Bertinetto", "PNG folders"):
        without = {name: content for name, content in files.items() if name != victim}
        message = refused("cifar-fs", lay_out(tmp_path / "without", without))
        assert "no file" in message or "none" in message
    short = pack(tmp_path / "short.zip", files)
    short.write_bytes(short.read_bytes()[:-5000])
    assert "short.zip" in refused("cifar-fs", short)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"data": np.zeros((4, 32, 32, 3), np.uint8), "labels": [0, 1]}, "columns of 4, 2 rows"),
        ({"data": np.zeros((4, 3072), np.uint8), "labels": [0] * 4}, "images of"),
        ({"data": np.zeros((4, 32, 32, 3)), "labels": [0] * 4}, "float64"),
        ({"data": np.zeros((4, 32, 32, 3), np.uint8)}, "labels"),
        ({"data": np.zeros((4, 32, 32, 3), np.uint8), "labels": ["a"] * 4}, "labels of"),
        ({"data": np.zeros((4, 32, 32, 3), np.uint8), "labels": [0] * 4}, "1/1/1 classes"),
        (["a list"], "a list, not a table"),
    ],
)
def test_tables_that_are_not_cifar(tmp_path: Path, table: object, why: str) -> None:
    files = {f"CIFAR_FS_{split}.pickle": MODERN(table) for split in SPLITS}
    assert why in refused("cifar-fs", lay_out(tmp_path / "set", files))


# -- miniImageNet


def mini_images(per_class: int = 2) -> dict[str, np.ndarray]:
    """images_IHWC of each class, noise."""
    split, rng = load_split("mini-imagenet"), np.random.default_rng(0)
    names = [name for part in SPLITS for name in split.classes(part)]
    return {name: rng.integers(0, 256, (per_class, 84, 84, 3), np.uint8) for name in names}


def of_split(images: dict[str, np.ndarray], split: str) -> tuple[np.ndarray, list[str]]:
    """The pixels of a split, rows of the classes in turn, and the class of each row."""
    names = load_split("mini-imagenet").classes(split)
    pixels = np.stack([images[name] for name in names], axis=1)
    return pixels.reshape(-1, *pixels.shape[2:]), list(names) * pixels.shape[0]


def cache_files(images: dict[str, np.ndarray], dump: Callable[..., bytes], val: str) -> Files:
    files = {}
    for split in SPLITS:
        pixels, classes = of_split(images, split)
        rows = {name: [i for i, c in enumerate(classes) if c == name] for name in set(classes)}
        table = {"image_data": pixels, "class_dict": rows}
        files[f"mini-imagenet-cache-{val if split == 'val' else split}.pkl"] = dump(table)
    return files


def category_files(images: dict[str, np.ndarray], dump: Callable[..., bytes], names: bool) -> Files:
    files, offset = {}, 0
    for split in SPLITS:
        pixels, classes = of_split(images, split)
        order = list(load_split("mini-imagenet").classes(split))
        order = order[::-1] if names else order
        table = {"data": pixels, "labels": [offset + order.index(name) for name in classes]}
        if names:
            table["catname2label"] = {name: offset + k for k, name in enumerate(order)}
        part = "train_phase_train" if split == "train" else split
        files[f"miniImageNet_category_split_{part}.pickle"] = dump(table)
        offset += len(order)
    files["miniImageNet_category_split_train_phase_val.pickle"] = b"images beyond the 600"
    return files


def png(image_HWC: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(image_HWC).save(file, "png")
    return file.getvalue()


def listed_files(images: dict[str, np.ndarray], easyfsl: bool, folder: str) -> Files:
    files: Files = {}
    for split in SPLITS:
        lines = ["class_name,image_name" if easyfsl else "filename,label"]
        for name in load_split("mini-imagenet").classes(split):
            for i, image in enumerate(images[name]):
                file = f"{name}_{i}.png" if easyfsl else f"{name}{i:08}.png"
                files[f"{folder.format(name=name)}/{file}"] = png(image)
                lines.append(f"{name},{file}" if easyfsl else f"{file},{name}")
        files[f"{split}.csv"] = "\n".join(lines).encode()
    return files


def folder_files(images: dict[str, np.ndarray], prefix: str = "") -> Files:
    return {
        f"{prefix.format(split=split)}{name}/{name}{i:08}.png": png(image)
        for split in SPLITS
        for name in load_split("mini-imagenet").classes(split)
        for i, image in enumerate(images[name])
    }


MINI_FORMS: dict[str, Callable[[dict[str, np.ndarray]], Files]] = {
    "cache, of Python 2": lambda images: cache_files(images, dump_python2, "val"),
    "cache, of Python 3": lambda images: cache_files(images, MODERN, "validation"),
    "category split": lambda images: category_files(images, dump_python2, names=False),
    "category split with names": lambda images: category_files(images, MODERN, names=True),
    "Ravi's lists": lambda images: listed_files(images, easyfsl=False, folder="images"),
    "ILSVRC's names": lambda images: listed_files(images, easyfsl=True, folder="all/{name}"),
    "split folders": lambda images: folder_files(images, "{split}/"),
    "R2D2's folders": lambda images: {
        **folder_files(images, "miniimagenet/data/"),
        "miniimagenet/splits/ravi-larochelle/train.txt": b"n01532829\n",
    },
}


def test_every_form_of_mini_imagenet_gives_the_same_bytes(tmp_path: Path) -> None:
    images = mini_images()
    stores = []
    for form, make in MINI_FORMS.items():
        source = lay_out(tmp_path / form / "source", make(images))
        stores.append(imported("mini-imagenet", source))
    archive = tar(tmp_path / "mini.tar.gz", MINI_FORMS["cache, of Python 2"](images))
    assert same([*stores, imported("mini-imagenet", archive)])
    pixels = np.concatenate([images[name] for name in sorted(images)])
    assert np.array_equal(stores[0].images_IHWC, pixels)
    assert "catname2label" in stores[3].info["how"]
    assert "order of WordNet ids" in stores[2].info["how"]


@pytest.mark.parametrize("form", MINI_FORMS)
def test_a_damaged_form_of_mini_imagenet_is_refused(tmp_path: Path, form: str) -> None:
    files = MINI_FORMS[form](mini_images())
    victim = max(files, key=lambda name: len(files[name]))
    cut = {**files, victim: files[victim][: len(files[victim]) // 2 - 1]}
    assert Path(victim).name in refused("mini-imagenet", lay_out(tmp_path / "cut", cut))
    without = {name: content for name, content in files.items() if name != victim}
    assert refused("mini-imagenet", lay_out(tmp_path / "without", without))


def test_the_lists_may_lie_elsewhere_and_say_which_images_are_meant(tmp_path: Path) -> None:
    images = mini_images(5)
    everything = folder_files(images)
    files = listed_files({name: x[1:3] for name, x in images.items()}, False, "unused")
    lists = {
        name: text.replace(b"00000001.png", b"00000002.png").replace(
            b"00000000.png", b"00000001.png"
        )
        for name, text in files.items()
        if name.endswith(".csv")
    }
    source = lay_out(tmp_path / "all", everything)
    store = imported("mini-imagenet", source, lists=lay_out(tmp_path / "lists", lists))
    expected = np.concatenate([images[name][1:3] for name in sorted(images)])
    assert np.array_equal(store.images_IHWC, expected)
    assert "has 5 images, not 2" in refused("mini-imagenet", lay_out(tmp_path / "b/a", everything))
    ilsvrc = {"train.csv": b"class_name,image_name\nn01532829,n01532829_7.JPEG\n"}
    other = lay_out(tmp_path / "other", {**lists, **ilsvrc})
    assert "no image 'n01532829_7.JPEG'" in refused(
        "mini-imagenet", lay_out(tmp_path / "c/a", everything), lists=other
    )
    assert "no train.csv" in refused(
        "mini-imagenet",
        lay_out(tmp_path / "d/a", everything),
        lists=tmp_path / "other" / ".." / "all",
    )


def test_raw_ilsvrc_is_resampled_as_asked(tmp_path: Path) -> None:
    """A tar of tars, as ILSVRC-2012 comes, of photographs of many sizes, with lists."""
    split, rng = load_split("mini-imagenet"), np.random.default_rng(0)
    names = [name for part in SPLITS for name in split.classes(part)]
    photographs = {
        f"{name}/{name}_{i}.JPEG": encode(i, "jpeg", (100 + int(rng.integers(9)), 90))
        for name in [*names, "n99999999"]
        for i in range(3)
    }
    inner = {}
    for name in [*names, "n99999999"]:
        members = {k.split("/")[1]: v for k, v in photographs.items() if k.startswith(name)}
        inner[f"{name}.tar"] = plain_tar(tmp_path / "inner.tar", members).read_bytes()
    lists = {
        f"{part}.csv": "\n".join(
            ["class_name,image_name"]
            + [f"{name},{name}_{i}.JPEG" for name in split.classes(part) for i in (0, 2)]
        ).encode()
        for part in SPLITS
    }
    source = plain_tar(tmp_path / "ILSVRC2012_img_train.tar", inner)
    where = lay_out(tmp_path / "lists", lists)
    assert "--resample" in refused("mini-imagenet", source, lists=where)
    prints = {}
    for resample in ("bicubic", "lanczos", "cv2-bilinear"):
        store = imported("mini-imagenet", source, lists=where, resample=resample)
        assert store.images_IHWC.shape == (200, 84, 84, 3)
        assert resample in store.info["how"]
        prints[resample] = store.fingerprint
    assert len(set(prints.values())) == 3
    folders = lay_out(tmp_path / "folders" / "train", photographs)
    again = imported("mini-imagenet", folders, lists=where, resample="lanczos")
    assert again.fingerprint == prints["lanczos"]


# -- tieredImageNet


def tiered_images() -> dict[str, np.ndarray]:
    """images_IHWC of each class by WordNet id: two even slopes, redder than they are blue."""
    split, rng = load_split("tiered-imagenet"), np.random.default_rng(0)
    names = [name for part in SPLITS for name in split.classes(part)]
    colours = rng.integers(60, 120, (len(names), 2, 1, 1, 3)) + np.array([40, 20, 0])
    slope = np.arange(84)[:, None, None] // 4
    images = np.broadcast_to(colours + slope, (len(names), 2, 84, 84, 3)).astype(np.uint8)
    return dict(zip(names, images, strict=True))


def words_of(name: str) -> str:
    """Names of classes, of which two of different splits are the same, as with cranes."""
    split = load_split("tiered-imagenet")
    return "crane" if name in (split.train[5], split.test[7]) else f"word {name[1:]}"


def tiered_split(
    images: dict[str, np.ndarray], split: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Pixels, label of each, and the classes in the order of their labels, which is none."""
    names = list(load_split("tiered-imagenet").classes(split))
    names = [names[i] for i in np.random.default_rng(1).permutation(len(names))]
    labels = np.repeat(np.arange(len(names), dtype=np.int32), 2)
    return np.concatenate([images[name] for name in names]), labels, names


def ren_labels(images: dict[str, np.ndarray], dump: Callable[..., bytes], split: str) -> bytes:
    _, labels, names = tiered_split(images, split)
    words = [words_of(name) for name in names]
    return dump(
        {
            "label_specific": labels,
            "label_general": labels // 9,
            "label_specific_str": words,
            "label_general_str": ["x"],
        }
    )


def ren_lists(images: dict[str, np.ndarray]) -> Files:
    return {
        "synsets.txt": "\n".join([*images, "n99999999"]).encode(),
        "class_names.txt": "\n".join([*map(words_of, images), "other"]).encode(),
    }


def ren_files(images: dict[str, np.ndarray], dump: Callable[..., bytes]) -> Files:
    files = ren_lists(images)
    for split in SPLITS:
        pixels, _, _ = tiered_split(images, split)
        encoded = [np.frombuffer(png(image), np.uint8).reshape(-1, 1).copy() for image in pixels]
        files[f"{split}_images_png.pkl"] = dump(encoded)
        files[f"{split}_labels.pkl"] = ren_labels(images, dump, split)
    return files


def npz_files(images: dict[str, np.ndarray], step: int, labels: str) -> Files:
    """Raw arrays, in BGR order if step is -1; labels of Ren et al. or of MetaOptNet."""
    files = ren_lists(images) if labels == "ren" else {}
    for split in SPLITS:
        pixels, numbers, _ = tiered_split(images, split)
        files[f"{split}_images.npz"] = npz(images=pixels[..., ::step])
        of_metaoptnet = MODERN({"labels": numbers.tolist()})
        ren = labels == "ren"
        files[f"{split}_labels.pkl"] = ren_labels(images, MODERN, split) if ren else of_metaoptnet
    return files


def tiered_folders(images: dict[str, np.ndarray]) -> Files:
    files = {f"{n}/{n}_{i}.png": png(x) for n, pair in images.items() for i, x in enumerate(pair)}
    return files | {f"n9999999{i}/n9999999{i}_0.png": encode(0, "png", (84, 84)) for i in range(9)}


def test_every_form_of_tiered_imagenet_with_names_gives_the_same_bytes(tmp_path: Path) -> None:
    images = tiered_images()
    forms = {
        "png": ren_files(images, dump_python2),
        "npz": npz_files(images, 1, "ren"),
        "npz in BGR": npz_files(images, -1, "ren"),
        "png of Zenodo": {
            f"tiered-imagenet-{name}": content
            for name, content in ren_files(images, MODERN).items()
        },
        "folders": tiered_folders(images),
    }
    stores = [
        imported("tiered-imagenet", lay_out(tmp_path / form / "source", files))
        for form, files in forms.items()
    ]
    assert same(stores)
    assert np.array_equal(
        stores[0].images_IHWC, np.concatenate([images[n] for n in sorted(images)])
    )
    assert stores[2].info["channels"].startswith("BGR, turned to RGB")
    assert stores[1].info["channels"].startswith("RGB")
    assert "9 classes that are not its own left out" in stores[4].info["how"]
    source = data.open_source("tiered-imagenet", "val", tmp_path / "png" / "data", SMALL)
    assert source.class_names == load_split("tiered-imagenet").val


def test_metaoptnets_classes_go_by_number_and_keep_their_split(tmp_path: Path) -> None:
    images = tiered_images()
    store = imported(
        "tiered-imagenet", lay_out(tmp_path / "set", npz_files(images, -1, "metaoptnet"))
    )
    assert store.info["channels"].startswith("BGR, turned to RGB")
    directory = tmp_path / "data"
    for split in SPLITS:
        source = data.open_source("tiered-imagenet", split, directory, SMALL)
        pixels, labels, _ = tiered_split(images, split)
        assert source.class_names == tuple(f"{split}-{label:03}" for label in sorted(set(labels)))
        assert np.array_equal(source.images_IHWC[source.indices], pixels)


def test_grey_images_do_not_tell_their_channels(tmp_path: Path) -> None:
    images = {name: x[..., :1].repeat(3, -1) for name, x in tiered_images().items()}
    store = imported("tiered-imagenet", lay_out(tmp_path / "set", npz_files(images, 1, "ren")))
    assert store.info["channels"].startswith("taken for RGB")


@pytest.mark.parametrize("form", ["png", "npz"])
def test_a_damaged_form_of_tiered_imagenet_is_refused(tmp_path: Path, form: str) -> None:
    images = tiered_images()
    files = ren_files(images, MODERN) if form == "png" else npz_files(images, 1, "ren")
    victim = "val_images_png.pkl" if form == "png" else "val_images.npz"
    cut = {**files, victim: files[victim][:-3000]}
    assert victim in refused("tiered-imagenet", lay_out(tmp_path / "cut/a", cut))
    without = {name: content for name, content in files.items() if name != victim}
    assert "of the val split: none" in refused(
        "tiered-imagenet", lay_out(tmp_path / "without/a", without)
    )
    no_labels = {name: content for name, content in files.items() if "labels" not in name}
    assert "no train_labels.pkl" in refused(
        "tiered-imagenet", lay_out(tmp_path / "labels/a", no_labels)
    )
    short = {**files, "test_labels.pkl": MODERN({"labels": [0, 1]})}
    assert "2 labels for 320 images" in refused(
        "tiered-imagenet", lay_out(tmp_path / "short/a", short)
    )
    few = {name: x[:1] if name == min(images) else x for name, x in images.items()}
    assert "images, not" in refused(
        "tiered-imagenet", lay_out(tmp_path / "few/a", tiered_folders(few))
    )
    broken = ren_files(images, MODERN)
    encoded = pickle.loads(broken["train_images_png.pkl"])
    broken["train_images_png.pkl"] = MODERN([encoded[0][:50], *encoded[1:]])
    assert "train_images_png.pkl: image 0" in refused(
        "tiered-imagenet", lay_out(tmp_path / "broken/a", broken)
    )


# -- what is in no known form


def test_an_unknown_form_is_told_with_what_is_known(tmp_path: Path) -> None:
    source = lay_out(tmp_path / "set", {"weights.pt": b"x", "notes/readme.rst": b"y"})
    message = refused("tiered-imagenet", source)
    assert "weights.pt" in message
    assert "{train,val,test}_images_png.pkl" in message
    assert "a folder of images for each class" in message


def test_a_web_page_in_place_of_an_archive_is_told(tmp_path: Path) -> None:
    page = tmp_path / "cifar100.zip"
    page.write_bytes(b"\n<!DOCTYPE html><html><title>Quota exceeded</title></html>")
    assert "web page" in refused("cifar-fs", page)


def test_two_forms_of_one_split_are_told_apart(tmp_path: Path) -> None:
    images = cifar_images(3)
    files = metaoptnet_files("cifar-fs", "CIFAR_FS_", images, MODERN)
    files |= metaoptnet_files("fc100", "FC100_", images, MODERN)
    assert "both" in refused("cifar-fs", lay_out(tmp_path / "set", files))


def test_another_size_can_be_packed(tmp_path: Path) -> None:
    images = mini_images()
    source = lay_out(tmp_path / "set", cache_files(images, MODERN, "val"))
    small = imported("mini-imagenet", source, size=42)
    assert small.images_IHWC.shape == (200, 42, 42, 3)
    first = Image.fromarray(images[min(images)][0]).resize((42, 42), Image.Resampling.BICUBIC)
    assert np.array_equal(small.images_IHWC[0], np.asarray(first))
    assert data.open_source("mini-imagenet", "test", tmp_path / "data", SMALL).image_size == 42
    box = imported("mini-imagenet", source, size=42, resample="box")
    assert box.fingerprint != small.fingerprint
    assert "unknown way to resample" in refused(
        "mini-imagenet", lay_out(tmp_path / "b" / "set", {}), resample="nearest"
    )


def test_a_zip_within_is_no_form(tmp_path: Path) -> None:
    inner = pack(tmp_path / "inner.zip", {"a.txt": b"x"}).read_bytes()
    outer = tmp_path / "outer.zip"
    with ZipFile(outer, "w") as archive:
        archive.writestr("fc100.zip", inner)
    assert "fc100.zip" in refused("fc100", outer)


@pytest.mark.parametrize("name", ["cifar-fs", "mini-imagenet"])
def test_classes_and_counts_must_be_exact(tmp_path: Path, name: str) -> None:
    whole = png_files(cifar_images(3)) if name == "cifar-fs" else folder_files(mini_images())
    first = min(whole).split("/")[0]
    of_first = [file for file in whole if file.startswith(f"{first}/")]
    fewer = {file: content for file, content in whole.items() if file != of_first[0]}
    message = refused(name, lay_out(tmp_path / "fewer/a", fewer))
    assert f"class '{first}' has {len(of_first) - 1} images, not {len(of_first)}" in message
    without = {file: content for file, content in whole.items() if file not in of_first}
    assert f"missing class '{first}'" in refused(name, lay_out(tmp_path / "without/a", without))
    surplus = {**whole, "yeti/1.png": whole[of_first[0]]}
    assert "class 'yeti' not in the split" in refused(
        name, lay_out(tmp_path / "surplus/a", surplus)
    )
