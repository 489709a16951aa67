"""Places for labels, so that none lies on another: pure functions of boxes, in points.

Axes: N labels.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression

DISTANCES = (5.0, 8.0, 12.0, 17.0, 24.0, 33.0, 44.0, 58.0, 75.0, 95.0)
DIRECTIONS = (
    (1.0, 0.0),
    (-1.0, 0.0),
    (1.0, 0.6),
    (1.0, -0.6),
    (-1.0, 0.6),
    (-1.0, -0.6),
    (0.0, 1.0),
    (0.0, -1.0),
    (0.5, 1.0),
    (-0.5, 1.0),
    (0.5, -1.0),
    (-0.5, -1.0),
    (1.0, 1.0),
    (1.0, -1.0),
    (-1.0, 1.0),
    (-1.0, -1.0),
)
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
        others = [other for j, other in enumerate(anchors) if j != i]
        taken = _Taken(obstacles, labels, leaders, others, lines)
        found = _first_free(anchor, size, bounds, taken)
        if found is None and lines:
            taken = _Taken(obstacles, labels, leaders, others)
            found = _first_free(anchor, size, bounds, taken)
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


def overlap(a: Box, b: Box) -> bool:
    """Return whether two boxes share more than an edge."""
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1


class _Taken:
    """The boxes, lines and points that a label has to keep clear of."""

    def __init__(
        self,
        obstacles: Sequence[Box],
        labels: Sequence[Box],
        leaders: Sequence[np.ndarray],
        others: Sequence[tuple[float, float]],
        lines: Sequence[Box] = (),
    ) -> None:
        self.boxes_N4 = np.array([*obstacles, *labels], dtype=np.float64).reshape(-1, 4)
        self.labels = labels
        self.lines_N4 = np.array(lines, dtype=np.float64).reshape(-1, 4)
        self.leaders = leaders
        self.others_N2 = np.array(others, dtype=np.float64).reshape(-1, 2)

    def hits(self, box: Box) -> bool:
        """Return whether a label's box lies on something."""
        on_box = _near(box, self.boxes_N4) or _near(box, self.lines_N4)
        return on_box or any(_crosses(leader, box) for leader in self.leaders)

    def is_nearest(self, box: Box, distance: float) -> bool:
        """Return whether a label so far from its anchor is clearly farther from all others."""
        x0, y0, x1, y1 = box
        x_N, y_N = self.others_N2.T
        away_N = np.hypot(x_N - np.clip(x_N, x0, x1), y_N - np.clip(y_N, y0, y1))
        return bool(np.all(away_N > distance + CLEARLY))

    def blocks(self, start: tuple[float, float], end: tuple[float, float]) -> bool:
        """Return whether a leader would run over a label, another point or another leader."""
        line = np.array([start, end])
        if any(_lines_cross(line, leader) for leader in self.leaders):
            return True
        if any(_crosses(line, label) for label in self.labels):
            return True
        near = [p for p in self.others_N2 if np.hypot(*(p - line[0])) > POINT]
        return any(_distance(p, line) < POINT for p in near)


def _first_free(
    anchor: tuple[float, float], size: tuple[float, float], bounds: Box, taken: _Taken
) -> Placed | None:
    """Return the first free candidate that needs no leader, else the first that does."""
    with_leader = None
    for box in _candidates(anchor, size):
        if not _inside(box, bounds) or taken.hits(box):
            continue
        end = _nearest(box, anchor)
        distance = float(np.hypot(end[0] - anchor[0], end[1] - anchor[1]))
        if distance <= NEAR and taken.is_nearest(box, distance):
            return Placed(box, None)
        if with_leader is None and not taken.blocks(anchor, end):
            with_leader = Placed(box, end)
        if with_leader is not None and distance > NEAR:
            break
    return with_leader


def _candidates(anchor: tuple[float, float], size: tuple[float, float]) -> Iterator[Box]:
    (x, y), (width, height) = anchor, size
    for distance in DISTANCES:
        for right, up in DIRECTIONS:
            middle_x = x + right * (distance + width / 2)
            middle_y = y + up * (distance + height / 2)
            x0, y0 = middle_x - width / 2, middle_y - height / 2
            yield Box(x0, y0, middle_x + width / 2, middle_y + height / 2)


def _inside(box: Box, bounds: Box) -> bool:
    across = bounds.x0 <= box.x0 and box.x1 <= bounds.x1
    return across and bounds.y0 <= box.y0 and box.y1 <= bounds.y1


def _near(box: Box, taken_N4: np.ndarray) -> bool:
    x0, y0, x1, y1 = taken_N4.T
    across = (x0 < box.x1 + GAP) & (x1 > box.x0 - GAP)
    return bool(np.any(across & (y0 < box.y1 + GAP) & (y1 > box.y0 - GAP)))


def _nearest(box: Box, point: tuple[float, float]) -> tuple[float, float]:
    """Return the point of a box that is nearest to a point."""
    return min(max(point[0], box.x0), box.x1), min(max(point[1], box.y0), box.y1)


def _crosses(line: np.ndarray, box: Box) -> bool:
    """Return whether a line from line[0] to line[1] meets a box (Liang and Barsky's clipping)."""
    start, along = line[0], line[1] - line[0]
    enter, leave = 0.0, 1.0
    for axis, (low, high) in enumerate(((box.x0, box.x1), (box.y0, box.y1))):
        if along[axis] == 0:
            if not low < start[axis] < high:
                return False
            continue
        a, b = sorted(((low - start[axis]) / along[axis], (high - start[axis]) / along[axis]))
        enter, leave = max(enter, a), min(leave, b)
    return enter < leave


def _distance(point: np.ndarray, line: np.ndarray) -> float:
    """Return the distance of a point from a line that ends at line[0] and line[1]."""
    along = line[1] - line[0]
    share = np.clip((point - line[0]) @ along / (along @ along), 0, 1)
    return float(np.hypot(*(line[0] + share * along - point)))


def _lines_cross(a: np.ndarray, b: np.ndarray) -> bool:
    def side(line: np.ndarray, point: np.ndarray) -> float:
        d, e = line[1] - line[0], point - line[0]
        return float(d[0] * e[1] - d[1] * e[0])

    return side(a, b[0]) * side(a, b[1]) < 0 and side(b, a[0]) * side(b, a[1]) < 0
