"""Tells which known variant of a data set a store holds, or how an unknown one differs.

The known variants are the files of this folder; `tests/helpers/records.py` writes them.
"""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

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


def describe(
    name: str,
    fingerprint: str,
    image_size: int,
    class_sizes: Mapping[str, int],
    class_hashes: Sequence[str],
    summaries: Sequence[Mapping[str, Any]] | None,
    *,
    photographs: bool = False,
) -> str:
    """Say in one line which known variant of the data set `name` a store is, or how it differs.

    class_hashes and summaries stand in the order of class_sizes; summaries are None where the
    store has none, and then only the pixels' hashes are compared. photographs: the mean colour
    tells the order of the channels.
    """
    known = known_variants(name)
    for variant in known:
        if variant.fingerprint == fingerprint:
            return variant.title
    if not known:
        return "no variant of it is known" + (_channels(summaries) if photographs else "")
    found = Variant(
        title="",
        datasets=(name,),
        image_size=image_size,
        fingerprint=fingerprint,
        class_sizes=class_sizes,
        class_hashes=_short_hashes(class_sizes, class_hashes),
        summaries=dict(zip(class_sizes, summaries, strict=True)) if summaries is not None else {},
    )
    nearest = max(known, key=lambda v: (len(_same_pixels(v, found)), v.image_size == image_size))
    return f'unknown variant: like "{nearest.title}" but {"; ".join(_how(nearest, found))}'


def class_overlap(one: Collection[str], other: Collection[str]) -> list[str]:
    """Return the class names that are in both, sorted."""
    return sorted(set(one) & set(other))


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


def _short_hashes(names: Collection[str], hashes: Sequence[str]) -> dict[str, str]:
    return {name: digest[:HASH_DIGITS] for name, digest in zip(names, hashes, strict=True)}


def _same_pixels(known: Variant, found: Variant) -> list[str]:
    """Return the classes that have the same pixels in both."""
    both = class_overlap(known.class_hashes, found.class_hashes)
    return [name for name in both if known.class_hashes[name] == found.class_hashes[name]]


def _how(known: Variant, found: Variant) -> list[str]:
    """Say in words how they differ; never empty, as the fingerprints are not the same."""
    sizes, same = known.class_sizes, _same_pixels(known, found)
    both = class_overlap(sizes, found.class_sizes)
    parts = _other_classes(sizes, found.class_sizes)
    if counts := [name for name in both if sizes[name] != found.class_sizes[name]]:
        first = f"{found.class_sizes[counts[0]]}, not {sizes[counts[0]]}"
        parts.append(f"another number of images ({first}) in {count_classes(counts)}")
    if same:
        parts.append(f"{len(same)} of {len(found.class_sizes)} classes have its very pixels")
    if resized := known.image_size != found.image_size:
        parts.append(f"resized otherwise ({_edge(found)}, not {_edge(known)})")
    changed = class_overlap(both, found.class_hashes.keys() - same)
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


def _other_classes(known: Collection[str], found: Collection[str]) -> list[str]:
    """Name the classes that only one of the two has."""
    surplus, missing = set(found) - set(known), set(known) - set(found)
    return [
        f"{preposition} {count_classes(names)}"
        for preposition, names in (("without", missing), ("with", surplus))
        if names
    ]


def _edge(variant: Variant) -> str:
    return f"{variant.image_size}x{variant.image_size}"


def _channels(summaries: Sequence[Mapping[str, Any]] | None) -> str:
    """Say how the mean colour shows the channels of photographs without a known variant."""
    if not summaries:
        return ""
    means = [sum(s["mean"][channel] for s in summaries) for channel in range(3)]
    return {
        True: "; red and blue look exchanged (BGR)",
        False: "; its channels are in RGB order",
        None: "; the order of its channels cannot be told",
    }[looks_bgr(means)]
