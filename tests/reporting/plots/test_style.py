"""Colours that hold in grey and for the colour-blind; names and captions as lines."""

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import colors

from fewshot.reporting.plots.scales import tick_words
from fewshot.reporting.plots.style import (
    MARGIN,
    PAGE_WIDTH,
    PALETTE,
    draw_page,
    fixed_style,
    marks_of,
    shown_name,
)

# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
EYES = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = TO_XYZ @ np.ones(3)


def linear(color):
    srgb = np.array(colors.to_rgb(color))
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    t = TO_XYZ @ np.clip(rgb, 0, 1) / WHITE
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_the_measure_of_colours_knows_black_white_and_red():
    assert lab(linear("#ffffff")) == pytest.approx([100, 0, 0], abs=0.01)
    assert lab(linear("#000000")) == pytest.approx([0, 0, 0], abs=0.01)
    assert lab(linear("#ff0000")) == pytest.approx([53.24, 80.09, 67.20], abs=0.05)


def test_colours_differ_in_grey():
    lightness = sorted(lab(linear(color))[0] for color in PALETTE)
    assert min(np.diff(lightness)) > 12
    assert lightness[-1] < 70  # and the lightest is seen on white


@pytest.mark.parametrize("eyes", EYES)
def test_colours_differ_for_every_eye(eyes):
    seen = [lab(EYES[eyes] @ linear(color)) for color in PALETTE]
    # 2.3 is a just noticeable difference.
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 20


def test_markers_and_dashes_alone_tell_24_names_apart():
    marks = list(marks_of([f"name {i}" for i in range(120)]).values())
    assert len(set(marks)) == 120
    assert len({(mark.marker, mark.dash) for mark in marks[:24]}) == 24


def test_a_name_has_its_label_on_a_line_of_its_own():
    assert shown_name("transfer (c = 3, mirrored)/resnet12") == "transfer/resnet12\nc = 3, mirrored"
    assert shown_name("pixels") == "pixels"
    assert shown_name("mtl (a (b) c)/conv4") == "mtl/conv4\na (b) c"


@pytest.mark.parametrize("name", ["x" * 90, "mtl (" + "word " * 30 + ")/conv4", "((", "a ()"])
def test_lines_of_names_are_short_whatever_the_name(name):
    lines = shown_name(name).splitlines()
    assert all(len(line) <= 30 for line in lines)
    letters = set(name) - set(" ()")
    assert set("".join(lines)) >= letters


def test_captions_stay_on_the_page():
    with fixed_style():
        for word in ("WWWWWW", "iii", "commit", "a" * 40):
            figure, _ = draw_page(" ".join([word] * 60), [1.0])
            (caption,) = figure.texts
            box = caption.get_window_extent()
            assert box.x0 >= 72 * MARGIN - 0.5
            assert box.x1 <= 72 * PAGE_WIDTH
            assert 0 <= box.y0 <= box.y1 <= figure.bbox.y1


def test_the_style_leaves_nothing_behind():
    before = dict(mpl.rcParams)
    with fixed_style():
        assert mpl.rcParams["font.size"] == 8
    assert dict(mpl.rcParams) == before


def test_the_users_own_style_does_not_matter():
    with mpl.rc_context({"lines.linewidth": 9.0, "axes.facecolor": "red"}), fixed_style():
        assert mpl.rcParams["lines.linewidth"] == 1.3
        assert mpl.rcParams["axes.facecolor"] == "white"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.05, "0.05 s"),
        (57.04, "57 s"),
        (60, "1 min"),
        (99, "99 s"),
        (228, "3.8 min"),
        (3600, "1 h"),
        (5400.5, "90 min"),
        (7000, "1.94 h"),
        (86400 * 2, "2 d"),
    ],
)
def test_durations_in_words(seconds, text):
    assert tick_words(seconds) == text
