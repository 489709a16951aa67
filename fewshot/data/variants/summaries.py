"""Summaries of classes, kept beside their hashes: stores whose pixels differ can be compared.

A hash says that pixels differ, not how. A summary says it: of at most 32 images a class, the
brightness of their four quarters (are they the same images?), the mean colour (in the same order
of channels?), and how much neighbouring pixels differ (resized or encoded in the same way?).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

SUMMARY_IMAGES = 32
SMALLEST = 8  # pixels of an edge
LUMA_SCALE = 5  # of red + 3 green + blue, which stays as it is when red and blue are exchanged
FLAT = 2  # at that scale: neighbours that differ by less than half a grey level

# How far the red mean of photographs must lie from the blue one, as a share of the mean of all.
# Both known data sets have red above blue by 0.15 (0.139 and 0.154), single classes from -0.84
# up. Of 20,000 random choices of n images of miniImageNet, below -0.05 fell 3 % (n = 10),
# 0.07 % (32), none (100 and more); of 20,000 choices of k whole classes 0.2 % (k = 8), none
# (16 and more). Of CIFAR-100: 4 %, 0.08 %, none; 0.4 %, 0.01 % (16), none (20 and more).
BGR_MARGIN = 0.05


def chosen(n: int) -> np.ndarray:
    """Return which of the n images of a class are summarised: at most 32, evenly spaced (int64)."""
    return np.linspace(0, n - 1, min(n, SUMMARY_IMAGES)).round().astype(np.int64)


def summarise(images_IHWC: np.ndarray) -> dict[str, Any]:
    """Return the summary of a class from its chosen images (uint8 RGB, 8 pixels wide or more).

    mean: of red, green and blue, 0..255. frames: the luma of the four quarters of each image, as
    hexadecimal bytes. luma: mean squared difference of pixels 1 and 2 apart, each across and
    down, in squared levels. colour: the same of red minus blue, 1 apart. flat: the share of
    neighbours of equal luma, across and down.

    Raises ValueError for other arrays.
    """
    if images_IHWC.dtype != np.uint8 or images_IHWC.ndim != 4 or images_IHWC.shape[3] != 3:
        raise ValueError(f"images of {images_IHWC.dtype} {images_IHWC.shape}, not uint8 RGB")
    if len(images_IHWC) == 0 or min(images_IHWC.shape[1:3]) < SMALLEST:
        raise ValueError(f"images {images_IHWC.shape}: none, or under {SMALLEST} pixels wide")
    red, green, blue = (images_IHWC[..., channel].astype(np.int16) for channel in range(3))
    luma, colour = red + 3 * green + blue, red - blue
    steps = [step for apart in (1, 2) for step in _differences(luma, apart)]
    flat = [np.count_nonzero(np.abs(step) <= FLAT) / step.size for step in steps[:2]]
    return {
        "mean": [round(float(channel.mean()), 1) for channel in (red, green, blue)],
        "luma": [_energy(step, LUMA_SCALE) for step in steps],
        "colour": [_energy(step, 1) for step in _differences(colour, 1)],
        "flat": [round(share, 5) for share in flat],
        "frames": _frames(luma).tobytes().hex(),
    }


def frames_of(summary: Mapping[str, Any]) -> np.ndarray:
    """Return the brightness of summarised images by quarters: int16, images x 4, 0..255."""
    return np.frombuffer(bytes.fromhex(summary["frames"]), np.uint8).reshape(-1, 4).astype(np.int16)


def looks_bgr(mean_rgb: Sequence[float]) -> bool | None:
    """Say whether photographs' red and blue are exchanged, by the mean colour (any scale).

    In photographs red is brighter than blue. None where the means are too near to tell; from
    fewer than 100 images, or 16 classes, the answer is a guess.
    """
    red, _, blue = mean_rgb
    difference = red - blue
    if abs(difference) * 3 <= BGR_MARGIN * sum(mean_rgb):
        return None
    return bool(difference < 0)  # of a numpy value too


def _differences(values_IHW: np.ndarray, apart: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the differences of pixels so far apart, across and down."""
    across = values_IHW[:, :, apart:] - values_IHW[:, :, :-apart]
    down = values_IHW[:, apart:] - values_IHW[:, :-apart]
    return across, down


def _energy(differences: np.ndarray, scale: int) -> float:
    """Return the mean square of differences at this scale, to four significant digits."""
    # Of whole numbers: a product of floats would wake BLAS's threads, which then wait for
    # processors that are busy decoding.
    wide = differences.astype(np.int64).ravel()
    return float(f"{int(np.dot(wide, wide)) / wide.size / scale**2:.4g}")


def _frames(luma_IHW: np.ndarray) -> np.ndarray:
    """Return the mean luma of the four quarters of each image, in levels (uint8, images x 4)."""
    _, height, width = luma_IHW.shape
    halves_H = (slice(0, height // 2), slice(height // 2, None))
    halves_W = (slice(0, width // 2), slice(width // 2, None))
    quarters = [luma_IHW[:, h, w].mean(axis=(1, 2)) for h in halves_H for w in halves_W]
    return (np.stack(quarters, axis=1) / LUMA_SCALE).round().astype(np.uint8)
