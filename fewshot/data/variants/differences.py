"""Tells from summaries alone how the images of one store differ from those of another.

The thresholds were set on 15 classes of miniImageNet and of CIFAR-100, 32 images of each, taken
for originals at 84, 42 (made by Lanczos) and 32 pixels, as they are and after a JPEG and a WebP
encoding, and changed in 60 ways: JPEG and WebP at qualities 30 to 100, six filters, round trips
through another size, a shift of half a pixel, crops, other images, another order. On 28 other
classes every one of these changes alone was named rightly from quality 50 up; single classes
too, but for 1 in 40, most of them at quality 50 or in round trips by Lanczos. Of two changes at
once, filter and encoding, the second stays unseen where the filter does as much to the colours.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from fewshot.data.variants.summaries import frames_of

Pair = tuple[Mapping[str, Any], Mapping[str, Any]]  # the summaries of a class: known, found

# Between two images, in levels: the largest difference of their quarters' brightness. Re-encoded
# and resized images were all within 6, of images cropped to 90 % (75 %) of the edge 40 % (25 %);
# within 15, 88 % (75 %), in no class under 31 %. Of other images of the same class 0.1 % lay
# within 6 and 1.3 % within 15, in no class over 12 %.
SAME, NEAR = 6, 15
OTHER_SHARE = 0.2  # of a class within NEAR: below it, the class has other images
CROP_SHARE = 0.08  # within NEAR but not within SAME: above it, the images are framed otherwise
SAME_SHARE = 0.97  # within SAME: below it, some of the images are others

# In another order, other images are summarised, but 32 of 600 drawn twice have 1.7 in common:
# 170 pairs within 2 levels were found in 100 classes, against 0 or 1 among other images and
# between a class and the next.
MATCH = 2
LEAST_MATCHES = 5
REORDERED = "its images in another order"

# Changes of the mean squared difference of neighbours, as logarithms, in the mean of the classes.
# At 2 pixels apart encodings of quality 50 and above changed luma by at most 0.035 and filters by
# 0.06 or more; at 1 apart encodings by 0.07. Up and down again by Lanczos takes 0.065 to 0.17 at 1
# apart and leaves the rest, which encodings do not. Where images are resized, colour follows luma
# or changes less, to within 0.05; an encoding that halves the resolution of colour, or none where
# there was one, moves it by 0.09 to 1.5 more.
RESIZED_FINE, RESIZED_COARSE = 0.09, 0.045
FINE_ALONE, OTHERS_STILL = -0.045, 0.1
COLOUR_ALONE = 0.09  # beyond what resizing does
FLAT_ALONE = -0.32  # likewise; resizing what was encoded before gave -0.25
ENCODED_FINE, ENCODED_COLOUR, ENCODED_FLAT = 0.04, 0.05, 0.025  # where nothing was resized
STANDARD_ERRORS = 3.0  # that a change must exceed its threshold by
FEW_CLASSES = 20  # of images in another order, too few to compare their detail


def changes(
    pairs: Mapping[str, Pair], class_sizes: Mapping[str, int], *, same_size: bool
) -> list[str]:
    """Say in words how the images of the classes in `pairs` differ; empty: nothing to be seen.

    class_sizes: how many images the classes have. same_size: whether the images' sizes are the
    same; where not, their detail says nothing.
    """
    apart = {name: _apart(pair) for name, pair in pairs.items()}
    others = {n: pairs[n] for n, far in apart.items() if np.mean(far <= NEAR) < OTHER_SHARE}
    alike = {name: pair for name, pair in pairs.items() if name not in others}
    parts = []
    if others:
        where = f" in {count_classes(others)}" if alike else ""
        parts.append(_others(others, class_sizes) + where)
        if not alike and parts == [REORDERED] and len(others) >= FEW_CLASSES and same_size:
            parts += _detail(others.values())
    if alike:
        far = np.concatenate([apart[name] for name in alike])
        same, near = np.mean(far <= SAME), np.mean(far <= NEAR)
        if near - same > CROP_SHARE:
            return [*parts, "cropped or framed otherwise"]
        if same < SAME_SHARE:
            parts.append(f"{1 - same:.0%} of the images that were compared are others")
        if same_size:
            parts += _detail(alike.values())
    return parts


def channels_exchanged(pairs: Collection[Pair]) -> bool:
    """Say whether red minus blue has changed its sign, which grey or few classes do not tell."""
    if len(pairs) < 10:
        pairs = [pair for pair in pairs if np.mean(_apart(pair) <= NEAR) >= OTHER_SHARE]
    known, found = (
        np.array([pair[side]["mean"][0] - pair[side]["mean"][2] for pair in pairs])
        for side in (0, 1)
    )
    kept, exchanged = np.square(found - known).sum(), np.square(found + known).sum()
    # 16: of classes with 2 levels between red and blue, as grey as can be told.
    return bool(exchanged < kept / 4 and kept > 16 * len(pairs))


def count_classes(names: Collection[str]) -> str:
    """Say how many classes they are, and name the first.

    >>> count_classes(["bee", "cat"])
    "2 classes (first: 'bee')"
    """
    first = min(names)
    return f"class '{first}'" if len(names) == 1 else f"{len(names)} classes (first: '{first}')"


def _apart(pair: Pair) -> np.ndarray:
    """Return how far apart the images of a class are, one by one; unlike numbers: 255."""
    known, found = map(frames_of, pair)
    if len(known) != len(found):
        return np.full(len(found), 255)
    return np.abs(known - found).max(axis=1)


def _others(pairs: Mapping[str, Pair], class_sizes: Mapping[str, int]) -> str:
    """Say whether images with unlike ones at their places are others or in another order."""
    frames = [(frames_of(known), frames_of(found)) for known, found in pairs.values()]
    expected = sum(
        len(known) * len(found) / class_sizes[name]
        for name, (known, found) in zip(pairs, frames, strict=True)
    )
    if expected < 2 * LEAST_MATCHES:
        return "other images (or another order of them)"
    matches = sum(_matches(known, found) for known, found in frames)
    unlike = zip(frames, frames[1:] + frames[:1], strict=True)
    by_chance = sum(_matches(known, found) for (known, _), (_, found) in unlike)
    in_another_order = matches > expected / 2 and (len(frames) == 1 or matches > 3 * by_chance)
    return REORDERED if in_another_order else "other images"


def _matches(known_F4: np.ndarray, found_F4: np.ndarray) -> int:
    """Count the found images that look like any known one."""
    far_FF = np.abs(found_F4[:, None] - known_F4[None]).max(axis=2)
    return int((far_FF <= MATCH).any(axis=1).sum())


def _strongest(logs_C2: np.ndarray) -> float:
    """Return the larger change of both directions: the classes' mean, less a chance's share."""
    mean = logs_C2.mean(axis=0)
    chance = STANDARD_ERRORS * logs_C2.std(axis=0) / np.sqrt(len(logs_C2))
    sure = np.sign(mean) * np.maximum(np.abs(mean) - chance, 0)
    return float(sure[np.argmax(np.abs(sure))])


def _detail(pairs: Collection[Pair]) -> list[str]:
    """Say whether the images look resized or encoded otherwise, by how their detail has changed."""
    # Logarithms of found / known: luma's detail 1 and 2 pixels apart, colour's, flat's.
    luma_C4, colour_C2, flat_C2 = (
        np.array([np.log(np.add(f[key], floor) / np.add(k[key], floor)) for k, f in pairs])
        for key, floor in (("luma", 0.01), ("colour", 0.01), ("flat", 0.001))
    )
    fine, coarse = _strongest(luma_C4[:, :2]), _strongest(luma_C4[:, 2:])
    colour, flat = _strongest(colour_C2), _strongest(flat_C2)
    still = max(abs(colour), abs(flat)) < OTHERS_STILL
    resized = (
        abs(fine) > RESIZED_FINE or abs(coarse) > RESIZED_COARSE or (still and fine < FINE_ALONE)
    )
    if resized:
        by_itself = max(colour - max(fine, 0), min(fine, 0) - colour)
        encoded = by_itself > COLOUR_ALONE or flat < FLAT_ALONE
    else:
        encoded = (
            abs(fine) > ENCODED_FINE or abs(colour) > ENCODED_COLOUR or abs(flat) > ENCODED_FLAT
        )
    how = {
        (True, True): "resized and encoded otherwise",
        (True, False): "resized otherwise (by another filter or route)",
        (False, True): "re-encoded",
    }
    if not (resized or encoded):
        return []
    amounts = f"detail of luma {np.expm1(fine):+.0%}, of colour {np.expm1(colour):+.0%}"
    return [f"{how[resized, encoded]}: {amounts}"]
