"""Places for labels, so that none lies on another: pure functions of boxes, in points.

Axes: N things to keep clear of, D distances, R directions, C candidates.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.path import Path
from matplotlib.transforms import Bbox
from scipy.optimize import isotonic_regression

DISTANCES_D = np.array([5.0, 8.0, 12.0, 17.0, 24.0, 33.0, 44.0, 58.0, 75.0, 95.0])
RIGHT_R = [1, -1, 1, 1, -1, -1, 0, 0, 0.5, -0.5, 0.5, -0.5, 1, 1, -1, -1]
UP_R = [0, 0, 0.6, -0.6, 0.6, -0.6, 1, -1, 1, 1, -1, -1, 1, -1, 1, -1]
GAP = 1.5  # points left free around a label
NEAR = 9.0  # points: a label this near its point needs no line to it,
CLEARLY = 2.0  # points: if every other point is so much farther away
POINT = 4.0  # points around another point that no leader touches


class Box(NamedTuple):
    """Left, bottom, right, top."""

    x0: float
    y0: float
    x1: float
    y1: float


class Placed(NamedTuple):
    """A label's box, and the point of it that a line from its anchor ends at, if it needs one."""

    box: Box
    leader: tuple[float, float] | None


def place(
    anchors: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    bounds: Box,
    obstacles: Sequence[Box],
    lines: Sequence[Box] = (),
) -> list[Placed | None]:
    """Return a place for each label near its anchor, the first ones first; None where none is free.

    No label lies on another one, on an obstacle or on a leader, nor outside the bounds. One that
    is not plainly nearest to its own anchor gets a leader. lines: thin boxes that are avoided
    where there is room elsewhere.
    """
    labels: list[Box] = []
    leaders: list[np.ndarray] = []
    placed: list[Placed | None] = []
    for i, (anchor, size) in enumerate(zip(anchors, sizes, strict=True)):
        others_N2 = np.delete(np.array(anchors, dtype=np.float64), i, axis=0)
        boxes_C4, found = _candidates(anchor, size), None
        for avoided in (lines, ()):
            free = _free(boxes_C4, bounds, [*obstacles, *labels, *avoided], leaders)
            found = found or _first_clear(anchor, free, others_N2, labels, leaders)
        placed.append(found)
        if found is not None:
            labels.append(found.box)
            if found.leader is not None:
                leaders.append(np.array([anchor, found.leader]))
    return placed


def spread(
    wanted: Sequence[float], heights: Sequence[float], low: float, high: float
) -> list[float]:
    """Return the middles of labels one above another, moved so little that none overlap.

    The sum of squares is least; they are within `low` and `high` as far as they fit there.
    """
    order = np.argsort(wanted, kind="stable")
    sizes = np.asarray(heights, dtype=np.float64)[order] + GAP
    # With the heights of all below it taken off, each label only has to be no lower than the last.
    offsets = np.cumsum(sizes) - sizes / 2
    level = isotonic_regression(np.asarray(wanted, dtype=np.float64)[order] - offsets).x
    level = np.clip(level, low, max(low, high - sizes.sum()))
    middles = np.empty(len(order))
    middles[order] = level + offsets
    return [float(m) for m in middles]


def _candidates(anchor: tuple[float, float], size: tuple[float, float]) -> np.ndarray:
    """Return the boxes (C, 4) around an anchor that a label may take, the best ones first."""
    half = np.array(size) / 2
    reach_D12 = (DISTANCES_D[:, None] + half)[:, None]
    middles_DR2 = anchor + np.array([RIGHT_R, UP_R]).T * reach_D12
    return np.concatenate([middles_DR2 - half, middles_DR2 + half], axis=2).reshape(-1, 4)


def _free(
    boxes_C4: np.ndarray, bounds: Box, taken: Sequence[Box], leaders: Sequence[np.ndarray]
) -> Iterator[Box]:
    """Yield the boxes within the bounds that lie neither on what is taken nor on a leader."""
    low_C2, high_C2 = boxes_C4[:, :2], boxes_C4[:, 2:]
    inside_C = ((low_C2 >= bounds[:2]) & (high_C2 <= bounds[2:])).all(1)
    taken_N4 = np.array(taken, dtype=np.float64).reshape(-1, 4)
    below_CN2 = taken_N4[:, :2] < high_C2[:, None] + GAP
    above_CN2 = taken_N4[:, 2:] > low_C2[:, None] - GAP
    hit_C = np.any((below_CN2 & above_CN2).all(2), axis=1)
    for box in map(Box._make, boxes_C4[inside_C & ~hit_C].tolist()):
        if not any(_crosses(leader, box) for leader in leaders):
            yield box


def _first_clear(
    anchor: tuple[float, float],
    free: Iterator[Box],
    others_N2: np.ndarray,
    labels: Sequence[Box],
    leaders: Sequence[np.ndarray],
) -> Placed | None:
    """Return the first free box that needs no leader, else the first that does."""
    with_leader = None
    for box in free:
        end = (min(max(anchor[0], box.x0), box.x1), min(max(anchor[1], box.y0), box.y1))
        line = np.array([anchor, end])
        distance = float(np.hypot(*(line[1] - line[0])))
        away_N = np.hypot(*(others_N2 - np.clip(others_N2, box[:2], box[2:])).T)
        if distance <= NEAR and np.all(away_N > distance + CLEARLY):
            return Placed(box, None)
        if with_leader is None and not _blocked(line, others_N2, labels, leaders):
            with_leader = Placed(box, end)
        if with_leader is not None and distance > NEAR:
            break
    return with_leader


def _blocked(
    line: np.ndarray, others_N2: np.ndarray, labels: Sequence[Box], leaders: Sequence[np.ndarray]
) -> bool:
    """Return whether a leader would run over a label, another point or another leader."""
    start, along = line[0], line[1] - line[0]
    from_start_N2 = others_N2 - start
    share_N = np.clip(from_start_N2 @ along / (along @ along), 0, 1)
    away_N = np.hypot(*(share_N[:, None] * along - from_start_N2).T)
    on_point = np.any((away_N < POINT) & (np.hypot(*from_start_N2.T) > POINT))
    on_leader = any(_lines_cross(line, leader) for leader in leaders)
    return bool(on_point) or on_leader or any(_crosses(line, label) for label in labels)


def _crosses(line: np.ndarray, box: Box) -> bool:
    """Return whether a line from line[0] to line[1] runs into a box."""
    return bool(Path(line).intersects_bbox(Bbox.from_extents(*box), filled=False))


def _lines_cross(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two lines cross; ones that only touch, as at a common anchor, do not."""

    def side(line: np.ndarray, point: np.ndarray) -> float:
        return float(np.linalg.det([line[1] - line[0], point - line[0]]))

    return side(a, b[0]) * side(a, b[1]) < 0 and side(b, a[0]) * side(b, a[1]) < 0
