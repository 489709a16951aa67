"""Tells which known variant of a data set a store holds, or how an unknown one differs.

The known variants are the files of this folder; `tests/helpers/records.py` writes them.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from fewshot.data.store import Store
from fewshot.data.variants.differences import changes, channels_exchanged, count_classes
from fewshot.data.variants.summaries import looks_bgr

HASH_DIGITS = 12  # of the 64 of a class's hash: 48 bits


@dataclass(frozen=True)
class Variant:
    """The content of a store, as far as it is known.

    class_sizes, class_hashes (the first digits of the SHA-256) and summaries are by class name.
    datasets: the data sets whose store holds it, as they differ only in the split.
    """

    title: str
    datasets: tuple[str, ...]
    image_size: int
    fingerprint: str
    class_sizes: Mapping[str, int]
    class_hashes: Mapping[str, str]
    summaries: Mapping[str, Mapping[str, Any]]


def known_variants(name: str) -> list[Variant]:
    """Return the recorded variants of the data set `name`."""
    folder = files("fewshot.data") / "variants"
    texts = [f.read_text() for f in folder.iterdir() if f.name.endswith(".toml")]
    return [v for v in map(_parse, sorted(texts)) if name in v.datasets]


def store_content(name: str, store: Store) -> Variant:
    """Return what is in a store of the data set `name`; without summaries where it has none."""
    names = store.class_names
    hashes = (digest[:HASH_DIGITS] for digest in store.class_hashes)
    return Variant(
        title="",
        datasets=(name,),
        image_size=store.images_IHWC.shape[1],
        fingerprint=store.fingerprint,
        class_sizes=dict(zip(names, store.class_sizes.tolist(), strict=True)),
        class_hashes=dict(zip(names, hashes, strict=True)),
        summaries=dict(zip(names, store.class_summaries or (), strict=False)),
    )


def describe(found: Variant, *, photographs: bool = False) -> str:
    """Say in one line which known variant of its data set `found` is, or how it differs.

    Without summaries only the pixels' hashes are compared. photographs: the mean colour tells the
    order of the channels.
    """
    known = known_variants(found.datasets[0])
    for variant in known:
        if variant.fingerprint == found.fingerprint:
            return variant.title
    if not known:
        return "no variant of it is known" + (_channels(found) if photographs else "")
    size = found.image_size
    nearest = max(known, key=lambda v: (len(_same_pixels(v, found)), v.image_size == size))
    return f'unknown variant: like "{nearest.title}" but {"; ".join(_how(nearest, found))}'


def _parse(text: str) -> Variant:
    table = tomllib.loads(text)
    classes: dict[str, dict[str, Any]] = table["classes"]
    return Variant(
        title=table["title"],
        datasets=tuple(table["datasets"]),
        image_size=table["image_size"],
        fingerprint=table["fingerprint"],
        class_sizes={name: fields.pop("size") for name, fields in classes.items()},
        class_hashes={name: fields.pop("hash") for name, fields in classes.items()},
        summaries=classes,
    )


def _same_pixels(known: Variant, found: Variant) -> set[str]:
    """Return the classes that have the same pixels in both."""
    return {name for name, _ in known.class_hashes.items() & found.class_hashes.items()}


def _how(known: Variant, found: Variant) -> list[str]:
    """Say in words how they differ; never empty, as the fingerprints are not the same."""
    sizes, same = known.class_sizes, _same_pixels(known, found)
    missing, surplus = sizes.keys() - found.class_sizes, found.class_sizes.keys() - sizes
    both = sorted(sizes.keys() & found.class_sizes)
    parts = [f"without {count_classes(missing)}"] if missing else []
    if surplus:
        parts.append(f"with {count_classes(surplus)}")
    if counts := [name for name in both if sizes[name] != found.class_sizes[name]]:
        first = f"{found.class_sizes[counts[0]]}, not {sizes[counts[0]]}"
        parts.append(f"another number of images ({first}) in {count_classes(counts)}")
    if same:
        parts.append(f"{len(same)} of {len(found.class_sizes)} classes have its very pixels")
    new, old = found.image_size, known.image_size
    if resized := new != old:
        parts.append(f"resized otherwise ({new}x{new}, not {old}x{old})")
    changed = [name for name in both if name not in same]
    pairs = {n: (known.summaries[n], found.summaries[n]) for n in changed if n in found.summaries}
    if exchanged := channels_exchanged(pairs.values()):
        parts.append("red and blue exchanged (BGR)")
    if comparable := {name: pair for name, pair in pairs.items() if name not in counts}:
        seen = changes(comparable, sizes, same_size=not resized)
        hidden = [f"no difference to be seen but in the pixel hash of {count_classes(changed)}"]
        parts += seen or ([] if resized or exchanged else hidden)
    elif changed and not pairs:
        parts.append(f"other pixels in {count_classes(changed)}")
    return parts


def _channels(found: Variant) -> str:
    """Say how the mean colour shows the channels of photographs without a known variant."""
    if not found.summaries:
        return ""
    mean_C = np.mean([summary["mean"] for summary in found.summaries.values()], axis=0)
    return {
        True: "; red and blue look exchanged (BGR)",
        False: "; its channels are in RGB order",
        None: "; the order of its channels cannot be told",
    }[looks_bgr(mean_C)]
