"""Labels never lie on each other, whatever the points."""

from itertools import pairwise

import numpy as np
import pytest
from helpers.boxes import overlap
from hypothesis import given, settings
from hypothesis import strategies as st

from fewshot.reporting.plots.labels import GAP, NEAR, Box, place, spread

BOUNDS = Box(0, 0, 400, 200)
POINTS = st.lists(
    st.tuples(st.floats(0, 400, width=32), st.floats(0, 200, width=32)), min_size=1, max_size=15
)


def around(point, half=4.0):
    return Box(point[0] - half, point[1] - half, point[0] + half, point[1] + half)


@settings(max_examples=60, deadline=None)
@given(POINTS, st.integers(0, 3))
def test_no_label_lies_on_another_on_a_point_or_outside(points, seed):
    rng = np.random.default_rng(seed)
    sizes = [(float(w), float(h)) for w, h in rng.uniform((20, 8), (120, 20), (len(points), 2))]
    placed = place(points, sizes, BOUNDS, [around(p) for p in points])
    boxes = [p.box for p in placed if p is not None]
    for i, box in enumerate(boxes):
        assert BOUNDS.x0 <= box.x0 <= box.x1 <= BOUNDS.x1
        assert BOUNDS.y0 <= box.y0 <= box.y1 <= BOUNDS.y1
        assert not any(overlap(box, other) for other in boxes[:i])
        assert not any(overlap(box, around(p)) for p in points)
    for p, size in zip(placed, sizes, strict=True):
        if p is not None:
            assert (p.box.x1 - p.box.x0, p.box.y1 - p.box.y0) == pytest.approx(size)


def test_labels_with_room_stand_at_the_right_of_their_points():
    points = [(50.0, 50.0), (50.0, 150.0), (200.0, 100.0)]
    placed = place(points, [(60.0, 10.0)] * 3, BOUNDS, [around(p) for p in points])
    for point, found in zip(points, placed, strict=True):
        assert found.leader is None
        assert 0 < found.box.x0 - point[0] <= NEAR
        assert found.box.y0 + 5 == pytest.approx(point[1])


def test_a_label_between_two_points_has_a_line_to_its_own():
    close = [(200.0, 100.0), (200.0, 109.0), (200.0, 91.0), (209.0, 100.0), (191.0, 100.0)]
    placed = place(close, [(60.0, 10.0)] * 5, BOUNDS, [around(p) for p in close])
    assert all(p is not None for p in placed)
    for i, (point, found) in enumerate(zip(close, placed, strict=True)):
        nearest = min(range(5), key=lambda j: distance(found.box, close[j]))
        assert found.leader is not None or nearest == i
        if found.leader is not None:
            assert found.leader == pytest.approx(nearest_point(found.box, point))


def nearest_point(box, point):
    return np.clip(point, (box.x0, box.y0), (box.x1, box.y1))


def distance(box, point):
    return float(np.linalg.norm(nearest_point(box, point) - point))


def test_what_has_no_room_has_no_label_and_the_first_have_theirs():
    points = [(200.0, 100.0)] * 60
    placed = place(points, [(150.0, 30.0)] * 60, BOUNDS, [around(points[0])])
    assert placed[0] is not None
    assert placed[-1] is None


def test_lines_are_avoided_where_there_is_room_and_crossed_where_there_is_none():
    point, wall = (200.0, 100.0), Box(205.0, 0.0, 210.0, 200.0)
    (beside,) = place([point], [(60.0, 10.0)], BOUNDS, [around(point)], [wall])
    assert not overlap(beside.box, wall)
    full = Box(0.0, 0.0, 400.0, 200.0)
    (across,) = place([point], [(60.0, 10.0)], BOUNDS, [around(point)], [full])
    assert across is not None


WANTED = st.lists(st.floats(-50, 250, width=32), min_size=1, max_size=12)


@settings(deadline=None)
@given(WANTED)
def test_spread_labels_keep_their_order_and_their_distance(wanted):
    heights = [10.0 + i % 3 for i in range(len(wanted))]
    middles = spread(wanted, heights, 0.0, 200.0)
    order = np.argsort(wanted, kind="stable")
    for low, high in pairwise(order):
        needed = (heights[low] + heights[high]) / 2 + GAP
        assert middles[high] - middles[low] >= needed - 1e-6
    for middle, height in zip(middles, heights, strict=True):
        assert middle - height / 2 >= -1e-6
        assert middle + height / 2 <= 200 + 1e-6


def test_spread_moves_nothing_that_need_not_move():
    assert spread([150.0, 20.0, 80.0], [10.0] * 3, 0.0, 200.0) == pytest.approx([150, 20, 80])


def test_spread_moves_two_apart_evenly():
    low, high = spread([100.0, 100.0], [10.0, 10.0], 0.0, 200.0)
    assert (low + high) / 2 == pytest.approx(100)
    assert high - low == pytest.approx(10 + GAP)
