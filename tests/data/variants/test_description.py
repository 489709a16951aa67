"""Which variant a store holds: known ones by name, unknown ones by what was done to them."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from helpers.paths import SHARED_DATA
from helpers.records import order_record, variant_record
from PIL import Image

from fewshot.data.sources import cifar, cifar_order
from fewshot.data.sources.cifar_order import Cifar100Order
from fewshot.data.splits import load_split
from fewshot.data.variants import description
from fewshot.data.variants.description import Variant, describe, known_variants, store_content
from fewshot.data.variants.summaries import SUMMARY_IMAGES, chosen, looks_bgr, summarise
from fewshot.episodes.sampling import SPLITS

Classes = dict[str, np.ndarray]  # images_IHWC by class name
LIKE = 'unknown variant: like "original" but '
RESIZED, ENCODED = "resized otherwise (by another filter or route)", "re-encoded"
BOTH = "resized and encoded otherwise"


# -- changes that a data set may have gone through


def each(change: Callable[[Image.Image], Image.Image]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda images: np.stack([np.asarray(change(Image.fromarray(i))) for i in images])


def encode(kind: str, quality: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, kind, quality=quality)
        return Image.open(file).convert("RGB")

    return each(change)


def resize(size: int, by: Image.Resampling) -> Callable[[np.ndarray], np.ndarray]:
    return each(lambda image: image.resize((size, size), by))


def round_trip(
    factor: float, there: Image.Resampling, back: Image.Resampling
) -> Callable[[np.ndarray], np.ndarray]:
    def change(image: Image.Image) -> Image.Image:
        size = round(image.width * factor)
        return image.resize((size, size), there).resize(image.size, back)

    return each(change)


def crop(share: float) -> Callable[[np.ndarray], np.ndarray]:
    """Of the width, as when a wide photograph is cut to a square rather than squeezed."""

    def change(image: Image.Image) -> Image.Image:
        margin = image.width * (1 - share) / 2
        box = (margin, 0, image.width - margin, image.height)
        return image.resize(image.size, Image.Resampling.BICUBIC, box=box)

    return each(change)


def half_pixel(images: np.ndarray) -> np.ndarray:
    wide = images.astype(np.float32)
    wide[:, :, :-1] = (wide[:, :, :-1] + wide[:, :, 1:]) / 2
    return wide.round().astype(np.uint8)


def to_bgr(images: np.ndarray) -> np.ndarray:
    return images[..., ::-1]


def natural(seed: int, n: int = 40, size: int = 32) -> np.ndarray:
    """Images with the spectrum of photographs, redder than blue."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    spectrum = 1 / np.maximum(frequency, 1 / size)
    noise = np.fft.fft2(rng.normal(size=(3, n, size, size))) * spectrum
    luma, red, blue = np.fft.ifft2(noise).real
    brightness = rng.uniform(50, 200, (n, 1, 1))
    luma = brightness + 30 * luma / luma.std()
    colours = [luma + 15 + 8 * red / red.std(), luma, luma - 20 + 8 * blue / blue.std()]
    return np.stack(colours, axis=-1).clip(0, 255).round().astype(np.uint8)


# -- a data set in memory


def content(classes: Classes) -> dict[str, Any]:
    """What a store's index holds of these images."""
    hashes = [sha256(images.tobytes()).hexdigest() for images in classes.values()]
    return {
        "fingerprint": sha256("".join(hashes).encode()).hexdigest()[:16],
        "image_size": next(iter(classes.values())).shape[1],
        "class_sizes": {name: len(images) for name, images in classes.items()},
        "class_hashes": hashes,
        "summaries": [summarise(images[chosen(len(images))]) for images in classes.values()],
    }


def as_store(classes: Classes) -> Any:
    found = content(classes)
    sizes = np.array(list(found["class_sizes"].values()))
    return SimpleNamespace(
        images_IHWC=np.concatenate(list(classes.values())),
        class_names=tuple(classes),
        class_starts=np.cumsum(sizes) - sizes,
        class_sizes=sizes,
        class_hashes=tuple(found["class_hashes"]),
        class_summaries=found["summaries"],
        fingerprint=found["fingerprint"],
    )


def described(classes: Classes, name: str = "pets", **changed: Any) -> str:
    store = as_store(classes)
    vars(store).update(changed)
    return describe(store_content(name, store))


def known_as(classes: Classes, title: str = "original") -> Variant:
    found = content(classes)
    names = list(classes)
    return Variant(
        title=title,
        datasets=("pets",),
        image_size=found["image_size"],
        fingerprint=found["fingerprint"],
        class_sizes=found["class_sizes"],
        class_hashes={n: h[:12] for n, h in zip(names, found["class_hashes"], strict=True)},
        summaries=dict(zip(names, found["summaries"], strict=True)),
    )


@pytest.fixture(scope="module")
def pets() -> Classes:
    return {f"pet{i:02}": natural(i) for i in range(8)}


@pytest.fixture
def describe_beside(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Describe classes where others are the only known variant."""

    def run(known: Classes, found: Classes, **changed: Any) -> str:
        monkeypatch.setattr(description, "known_variants", lambda _: [known_as(known)])
        return described(found, **changed)

    return run


def changed(classes: Classes, change: Callable[[np.ndarray], np.ndarray]) -> Classes:
    return {name: change(images) for name, images in classes.items()}


# -- summaries


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 600, 1300])
def test_chosen_images_are_few_and_spread_over_the_class(n: int) -> None:
    rows = chosen(n)
    assert len(rows) == min(n, SUMMARY_IMAGES)
    assert rows[0] == 0
    assert rows[-1] == n - 1 or n == 1
    assert (np.diff(rows) >= 1).all()
    assert np.ptp(np.diff(rows)) <= 1 if n > 1 else True


def test_a_summary_by_hand() -> None:
    """Against plain loops over the pixels."""
    images = np.random.default_rng(0).integers(0, 20, (3, 9, 11, 3), np.uint8)
    luma, colour, flat = ({}, {}, {})
    for axis, (down, across) in enumerate([(0, 1), (1, 0)]):
        for apart in (1, 2):
            light, red_blue = [], []
            for image in images.astype(int).tolist():
                for y in range(9 - apart * down):
                    for x in range(11 - apart * across):
                        one, other = image[y][x], image[y + apart * down][x + apart * across]
                        step = [a - b for a, b in zip(other, one, strict=True)]
                        light.append((step[0] + 3 * step[1] + step[2]) / 5)
                        red_blue.append(step[0] - step[2])
            luma[apart, axis] = np.mean(np.square(light))
            colour[apart, axis] = np.mean(np.square(red_blue))
            flat[apart, axis] = np.mean(np.abs(light) < 0.5)
    found = summarise(images)
    assert found["luma"] == pytest.approx([luma[a, d] for a in (1, 2) for d in (0, 1)], rel=1e-3)
    assert found["colour"] == pytest.approx([colour[1, 0], colour[1, 1]], rel=1e-3)
    assert found["flat"] == pytest.approx([flat[1, 0], flat[1, 1]], abs=1e-5)
    assert found["mean"] == pytest.approx(images.mean(axis=(0, 1, 2)).tolist(), abs=0.051)
    quarter = images[1, :4, 5:].astype(float) @ [0.2, 0.6, 0.2]
    assert bytes.fromhex(found["frames"])[5] == round(quarter.mean())


def test_a_summary_is_plain_and_small() -> None:
    found = summarise(natural(0, SUMMARY_IMAGES))
    assert json.loads(json.dumps(found)) == found
    assert len(json.dumps(found)) < 500
    smallest = np.zeros((1, 8, 8, 3), np.uint8)
    assert summarise(smallest)["flat"] == [1, 1]


def test_exchanged_channels_change_the_mean_alone() -> None:
    images = natural(0)
    one, other = summarise(images), summarise(to_bgr(images))
    assert one.pop("mean") == other.pop("mean")[::-1]
    assert one == other


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8, 3)),
        np.zeros((2, 7, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(images: np.ndarray) -> None:
    with pytest.raises(ValueError, match="images"):
        summarise(images)


def test_the_order_of_channels_by_the_mean_colour() -> None:
    imagenet = np.array([0.47214, 0.45331, 0.40996])
    for scale in (1, 255, 60000):
        assert looks_bgr(imagenet * scale) is False
        assert looks_bgr(imagenet[::-1] * scale) is True
    for mean in ((0.45, 0.45, 0.45), (0.46, 0.45, 0.45), (0.44, 0.45, 0.46), (0, 0, 0)):
        assert looks_bgr(mean) is None


# -- describing


def test_a_known_variant_is_named(pets: Classes, describe_beside: Callable[..., str]) -> None:
    assert describe_beside(pets, pets) == "original"


def test_without_a_known_variant(pets: Classes) -> None:
    assert known_variants("pets") == []
    assert described(pets) == "no variant of it is known"
    nothing = "no variant of it is known; "

    def photographs(classes: Classes) -> str:
        return describe(store_content("pets", as_store(classes)), photographs=True)

    assert photographs(pets) == nothing + "its channels are in RGB order"
    bgr = changed(pets, to_bgr)
    assert photographs(bgr) == nothing + "red and blue look exchanged (BGR)"
    grey = changed(pets, lambda images: images[..., [1, 1, 1]])
    assert photographs(grey) == nothing + "the order of its channels cannot be told"
    unsummarised = replace(store_content("pets", as_store(pets)), summaries={})
    assert describe(unsummarised, photographs=True) == "no variant of it is known"


L, B, N = Image.Resampling.LANCZOS, Image.Resampling.BILINEAR, Image.Resampling.NEAREST


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (to_bgr, "red and blue exchanged (BGR)"),
        (resize(48, L), "resized otherwise (48x48, not 32x32)"),
        (lambda x: resize(16, B)(to_bgr(x)), "resized otherwise (16x16, not 32x32); red and blue"),
        (encode("JPEG", 75), ENCODED),
        (encode("JPEG", 90), ENCODED),
        (encode("WEBP", 75), ENCODED),
        (lambda x: to_bgr(encode("JPEG", 75)(x)), f"red and blue exchanged (BGR); {ENCODED}"),
        (half_pixel, RESIZED),
        (round_trip(2, B, L), RESIZED),
        (lambda x: encode("JPEG", 75)(half_pixel(x)), BOTH),
        (crop(0.75), "cropped or framed otherwise"),
        (lambda x: x[np.random.default_rng(0).permutation(len(x))], "its images in another order"),
    ],
)
def test_what_was_done_to_the_images(
    change: Callable[[np.ndarray], np.ndarray],
    how: str,
    pets: Classes,
    describe_beside: Callable[..., str],
) -> None:
    assert describe_beside(pets, changed(pets, change)).startswith(LIKE + how)


def test_other_images(pets: Classes, describe_beside: Callable[..., str]) -> None:
    others = {name: natural(100 + i) for i, name in enumerate(pets)}
    assert describe_beside(pets, others) == LIKE + "other images"
    few = {**pets, "pet03": others["pet03"], "pet06": others["pet06"]}
    assert describe_beside(pets, few) == LIKE + (
        "6 of 8 classes have its very pixels; other images"
    )
    mixed = {**changed(pets, encode("JPEG", 75)), "pet03": others["pet03"]}
    assert describe_beside(pets, mixed).startswith(LIKE + "other images in class 'pet03'; re-enc")
    some = {name: images.copy() for name, images in pets.items()}
    for name, images in some.items():
        images[::4] = others[name][::4]
    assert "% of the images that were compared are others" in describe_beside(pets, some)


def test_too_few_classes_to_tell_another_order(describe_beside: Callable[..., str]) -> None:
    one = {"pet": natural(0, 600, 8)}
    found = describe_beside(one, {"pet": natural(1, 600, 8)})
    assert found == LIKE + "other images (or another order of them)"


def test_images_that_are_missing(pets: Classes, describe_beside: Callable[..., str]) -> None:
    fewer = {**pets, "pet02": pets["pet02"][:-1], "pet05": pets["pet05"][:20]}
    assert describe_beside(pets, fewer) == LIKE + (
        "another number of images (39, not 40) in 2 classes (first: 'pet02'); "
        "6 of 8 classes have its very pixels"
    )
    all_fewer = changed(pets, lambda images: images[:30])
    assert describe_beside(pets, all_fewer) == LIKE + (
        "another number of images (30, not 40) in 8 classes (first: 'pet00')"
    )


def test_classes_that_are_missing_or_new(
    pets: Classes, describe_beside: Callable[..., str]
) -> None:
    other = {**{name: pets[name] for name in list(pets)[2:]}, "zebra": natural(50)}
    assert describe_beside(pets, other) == LIKE + (
        "without 2 classes (first: 'pet00'); with class 'zebra'; "
        "6 of 7 classes have its very pixels"
    )


def test_what_the_summaries_do_not_show(pets: Classes, describe_beside: Callable[..., str]) -> None:
    hidden = {**pets, "pet04": pets["pet04"].copy()}
    unseen = next(i for i in range(40) if i not in chosen(40))
    hidden["pet04"][unseen] = 0
    assert describe_beside(pets, hidden) == LIKE + (
        "7 of 8 classes have its very pixels; "
        "no difference to be seen but in the pixel hash of class 'pet04'"
    )
    without = describe_beside(pets, hidden, class_summaries=None)
    assert without.endswith("its very pixels; other pixels in class 'pet04'")


def test_the_nearest_variant_is_the_one_with_most_of_the_pixels(
    pets: Classes, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = {**changed(pets, encode("JPEG", 75)), "pet01": pets["pet01"]}
    small = changed(pets, resize(16, L))
    known = [known_as(small, "small"), known_as(half, "half"), known_as(pets)]
    monkeypatch.setattr(description, "known_variants", lambda _: known)
    mostly_half = {**half, "pet02": natural(77)}
    assert described(mostly_half).startswith('unknown variant: like "half" but 7')
    other_small = changed(small, to_bgr)
    assert described(other_small).startswith('unknown variant: like "small"')


# -- the records


def test_a_record_is_read_back(tmp_path: Path, pets: Classes, monkeypatch: Any) -> None:
    (tmp_path / "variants").mkdir()
    text = variant_record(as_store(pets), 'pets, "exact"', ["pets", "animals"])
    (tmp_path / "variants" / "pets.toml").write_text(text)
    (tmp_path / "variants" / "else.bin").write_bytes(b"\xff")
    monkeypatch.setattr(description, "files", lambda _: tmp_path)
    assert known_variants("pets") == known_variants("animals")
    assert known_variants("cars") == []
    expected = known_as(pets, 'pets, "exact"')
    assert known_variants("pets") == [replace(expected, datasets=("pets", "animals"))]
    assert described(pets, "animals") == 'pets, "exact"'


@pytest.mark.parametrize(
    ("name", "title", "size"),
    [
        ("cifar-fs", "CIFAR-100, exact pixels", 32),
        ("fc100", "CIFAR-100, exact pixels", 32),
        ("mini-imagenet", "miniImageNet, WebP quality 75 of 84x84 JPEGs", 84),
    ],
)
def test_recorded_variants(name: str, title: str, size: int) -> None:
    (known,) = known_variants(name)
    assert (known.title, known.image_size) == (title, size)
    load_split(name).check_classes(known.class_sizes)
    assert set(known.class_sizes.values()) == {600}
    assert len(set(known.class_hashes.values())) == 100
    assert {len(s["frames"]) for s in known.summaries.values()} == {8 * SUMMARY_IMAGES}
    assert looks_bgr(np.mean([s["mean"] for s in known.summaries.values()], axis=0)) is False


def test_records_are_small() -> None:
    folder = files("fewshot.data") / "variants"
    texts = [f.read_bytes() for f in folder.iterdir() if f.name.endswith(".toml")]
    assert sum(map(len, texts)) < 200_000


# -- classes


def test_overlap_of_mini_and_tiered() -> None:
    mini, tiered = load_split("mini-imagenet"), load_split("tiered-imagenet")
    overlaps = {
        (one, other): len({*mini.classes(one)} & {*tiered.classes(other)})
        for one in SPLITS
        for other in SPLITS
    }
    assert overlaps["test", "train"] == 5
    assert overlaps["train", "test"] == 13
    assert overlaps["val", "train"] == 9
    assert overlaps["train", "train"] == 17


# -- the order of CIFAR-100


def small_order() -> tuple[np.ndarray, np.ndarray, Cifar100Order]:
    """Four classes of five images, one of them twice in a class and two in two classes."""
    images = natural(0, 20)
    images[3] = images[1]
    images[7] = images[12]
    images[9] = images[15]
    order = Cifar100Order(cifar_order.hashes(images), per_class=5)
    return images, np.repeat([30, 10, 40, 20], 5), order


@pytest.mark.parametrize("seed", range(20))
def test_shuffled_images_get_their_rows(seed: int) -> None:
    images, labels, order = small_order()
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(20)[: rng.integers(14, 21)]  # perhaps without some
    rows = order.identify(images[shuffled], labels[shuffled])
    assert rows is not None
    assert (images[rows] == images[shuffled]).all()
    assert (rows // 5 == shuffled // 5).all()
    again = rows[shuffled == 1] if 1 in shuffled else rows[shuffled == 3]
    assert set(again) <= {1, 3}
    assert rows.dtype == np.int64


def test_equal_images_of_a_class_come_in_order() -> None:
    images, labels, order = small_order()
    rows = order.identify(images, labels)
    assert rows is not None
    assert rows.tolist() == list(range(20))
    record = np.frombuffer(order_record(images), "<u4")  # as it is written to a file
    assert record.tolist() == order.hashes_I.tolist()


def test_images_that_are_not_of_the_record() -> None:
    images, labels, order = small_order()

    def identify(at: Mapping[int, np.ndarray]) -> np.ndarray | None:
        other = images.copy()
        for row, image in at.items():
            other[row] = image
        return order.identify(other, labels)

    assert identify({}) is not None
    off = images[4].copy()
    off[0, 0, 0] ^= 1
    assert identify({4: off}) is None
    assert identify({4: images[0]}) is None  # the same image twice
    assert identify({4: images[1]}) is None  # three times, where the record has it twice
    assert identify({4: images[10]}) is None  # of another class
    assert order.identify(to_bgr(images), labels) is None
    assert order.identify(images[:, :16, :16], labels) is None
    assert order.identify(images.astype(int), labels) is None
    assert order.identify(images, np.zeros(20)) is None
    assert order.identify(np.concatenate([images, images]), np.arange(40) // 5) is None


def test_the_recorded_order() -> None:
    order = Cifar100Order.load()
    assert order.hashes_I.shape == (60000,)
    assert len(np.unique(order.hashes_I)) == 59974
    assert list(cifar.class_names()) == sorted(known_variants("cifar-fs")[0].class_sizes)


# -- real images


CIFAR_CLASSES = ("aquarium_fish", "baby", "crab", "girl", "otter", "seal", "spider")
MINI_CLASSES = ("n01532829", "n02099601", "n02971356", "n04443257", "n07613480", "n13133613")


def read_classes(archive: str, names: tuple[str, ...], every: int = 1) -> Classes:
    """Straight from the zip, without the suite's reader."""
    with ZipFile(SHARED_DATA / archive) as source:
        members = sorted(source.namelist())

        def load(name: str) -> np.ndarray:
            mine = [member for member in members if member.startswith(f"{name}/")]
            rows = chosen(len(mine)) if every > 1 else range(len(mine))
            return np.stack([np.asarray(Image.open(source.open(mine[row]))) for row in rows])

        return {name: load(name) for name in names}


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("archive", "name", "classes"),
    [
        ("cifar100.zip", "cifar-fs", CIFAR_CLASSES),
        ("miniimagenet.zip", "mini-imagenet", MINI_CLASSES),
    ],
)
def test_records_are_those_of_the_real_images(
    archive: str, name: str, classes: tuple[str, ...]
) -> None:
    (known,) = known_variants(name)
    for class_name, images in read_classes(archive, classes).items():
        digest = sha256(images.tobytes()).hexdigest()
        assert known.class_hashes[class_name] == digest[:12]
        assert known.summaries[class_name] == summarise(images[chosen(600)])


@pytest.mark.realdata
def test_real_cifar_images_get_their_rows() -> None:
    """Among these classes are all that share images with another one, but four."""
    order = Cifar100Order.load()
    classes = read_classes("cifar100.zip", CIFAR_CLASSES)
    images, labels = np.concatenate(list(classes.values())), np.repeat(range(7), 600)
    expected = np.concatenate(
        [cifar.class_names().index(name) * 600 + np.arange(600) for name in classes]
    )
    shuffled = np.random.default_rng(0).permutation(len(images))
    rows = order.identify(images[shuffled], labels[shuffled])
    assert rows is not None
    assert sorted(rows) == expected.tolist()
    places = np.searchsorted(expected, rows)
    back = np.empty_like(images)
    back[places] = images[shuffled]
    assert back.tobytes() == images.tobytes()
    assert (rows // 600 == expected[shuffled] // 600).all()
    assert (rows != expected[shuffled]).sum() <= 18  # the pairs within aquarium_fish
    assert order.identify(encode("JPEG", 95)(images[:600]), labels[:600]) is None


ENCODINGS = [("JPEG", 75), ("JPEG", 90), ("WEBP", 75), ("WEBP", 90)]
FILTERS = {
    name: getattr(Image.Resampling, name)
    for name in ("BICUBIC", "BILINEAR", "BOX", "HAMMING", "NEAREST")
}
AT_ONE_SIZE = {
    **{f"{kind} {quality}": (encode(kind, quality), ENCODED) for kind, quality in ENCODINGS},
    "up and down": (round_trip(2, B, L), RESIZED),
    "up and down by Lanczos": (round_trip(2, L, L), RESIZED),
    "down and up": (round_trip(0.5, L, L), RESIZED),
    "half a pixel": (half_pixel, RESIZED),
    "cropped": (crop(0.75), "cropped or framed otherwise"),
    "cropped a little": (crop(0.9), "cropped or framed otherwise"),
    "BGR": (to_bgr, "red and blue exchanged (BGR)"),
    "half the size": (resize(16, L), "resized otherwise (16x16, not "),
}


@pytest.fixture(scope="module")
def real() -> dict[str, Classes]:
    """The summarised images of a few classes, as they are and in half the size, also encoded."""
    mini = read_classes("miniimagenet.zip", MINI_CLASSES, every=2)
    half = changed(mini, resize(42, L))
    return {
        "cifar": read_classes("cifar100.zip", CIFAR_CLASSES, every=2),
        "mini": mini,
        "half": half,
        "half, encoded": changed(half, lambda x: encode("WEBP", 75)(encode("JPEG", 90)(x))),
    }


@pytest.mark.realdata
@pytest.mark.parametrize("name", AT_ONE_SIZE)
@pytest.mark.parametrize("base", ["cifar", "mini", "half"])
def test_real_images_changed(
    base: str, name: str, real: dict[str, Classes], describe_beside: Callable[..., str]
) -> None:
    change, how = AT_ONE_SIZE[name]
    found = describe_beside(real[base], changed(real[base], change))
    assert found.startswith(LIKE + how), found


@pytest.mark.realdata
@pytest.mark.parametrize("by", FILTERS)
def test_real_images_resized_by_another_filter(
    by: str, real: dict[str, Classes], describe_beside: Callable[..., str]
) -> None:
    """The known ones were made by Lanczos from images of twice the size."""
    resized = changed(real["mini"], resize(42, FILTERS[by]))
    assert describe_beside(real["half"], resized).startswith(LIKE + RESIZED)
    encoded = changed(resized, encode("JPEG", 90))
    # Bilinear blurs as much as the encoding takes of the colours, which then goes unnoticed.
    both = RESIZED if by == "BILINEAR" else BOTH
    assert describe_beside(real["half"], encoded).startswith(LIKE + both)
    assert describe_beside(real["half, encoded"], resized).startswith(LIKE + BOTH)
    likewise = changed(resized, lambda x: encode("WEBP", 75)(encode("JPEG", 90)(x)))
    assert describe_beside(real["half, encoded"], likewise).startswith(LIKE + RESIZED)


@pytest.mark.realdata
def test_real_images_before_they_were_encoded(
    real: dict[str, Classes], describe_beside: Callable[..., str]
) -> None:
    found = describe_beside(real["half, encoded"], real["half"])
    assert found.startswith(LIKE + ENCODED)


@pytest.mark.realdata
def test_other_real_images(real: dict[str, Classes], describe_beside: Callable[..., str]) -> None:
    names = list(real["mini"])
    moved = {name: real["mini"][names[i - 1]] for i, name in enumerate(names)}
    assert describe_beside(real["mini"], moved) == LIKE + "other images"
    shuffled = changed(real["mini"], lambda x: x[::-1])
    assert describe_beside(real["mini"], shuffled) == LIKE + "its images in another order"


@pytest.mark.realdata
def test_real_images_in_another_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 600 images other ones are summarised when the order changes, but a few are the same."""
    names = sorted(known_variants("cifar-fs")[0].class_sizes)[:20]
    (known,) = known_variants("cifar-fs")
    keep = {name: known.class_sizes[name] for name in names}
    monkeypatch.setattr(
        description,
        "known_variants",
        lambda _: [replace(known, title="original", class_sizes=keep)],
    )
    classes = read_classes("cifar100.zip", tuple(names))
    order = np.random.default_rng(0).permutation(600)
    shuffled = described(changed(classes, lambda x: x[order]))
    assert shuffled == LIKE + "its images in another order"
    bgr = described(changed(classes, lambda x: x[order, :, :, ::-1]))
    assert bgr == LIKE + "red and blue exchanged (BGR); its images in another order"
