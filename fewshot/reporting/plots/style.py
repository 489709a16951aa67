"""The look of the figures: colours, markers, sizes, the page and its caption, and saving.

Nothing is told by colour alone: names have markers and dashes too, bars have hatches. Colours
differ in lightness as much as in hue, so they hold in grey and for the colour-blind.
"""

import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fewshot.errors import UserError

FORMATS: dict[str, dict[str, None]] = {
    "png": {},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}
"""The formats and their metadata: without dates, so that the same cells give the same bytes."""
Dash = Literal["-"] | tuple[float, tuple[float, ...]]
PALETTE = ("#000000", "#332288", "#aa2255", "#1f8a8a", "#e08a00")
"""Black, indigo, crimson, teal, orange: lightness 0, 22, 39, 52, 65 of 100."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
DASHES: tuple[Dash, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)))
GREY = "#6b6b6b"
MISS_HATCH = "////"
PAGE_WIDTH = 7.0  # inches: the text width of most papers
FONT_SIZE = 8.0  # points, as saved
LINE = 0.145  # inches from one line of text to the next
LINE_SPACING = 1.3  # of the font's own line height, which makes LINE
DPI = 200
NAME_WIDTH = 30  # characters of a name's line
KEY_GAP, KEY_HANDLE = 1.5, 3.2  # font sizes
TITLE, AXIS_LABEL, MARGIN = 0.28, 0.48, 0.06  # inches
SETTINGS = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so labels are as long everywhere
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE + 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.7,
    "lines.linewidth": 1.3,
    "lines.markersize": 6.0,
    "lines.markeredgewidth": 0.5,
    "text.parse_math": False,  # a learner may be called $x$
    "svg.fonttype": "path",
    "svg.hashsalt": "fewshot",  # the same identifiers, so the same bytes, each time
    "pdf.fonttype": 42,
}


class Mark(NamedTuple):
    """The look of one name in every figure."""

    color: str
    marker: str
    dash: Dash

    @property
    def line(self) -> dict[str, Any]:
        """The settings of a line with markers."""
        look = {"color": self.color, "marker": self.marker, "linestyle": self.dash}
        return {**look, "markeredgecolor": "white"}


@contextmanager
def fixed_style() -> Iterator[None]:
    """Set SETTINGS over the defaults of matplotlib, not over the user's, which come back after."""
    with style.context(["default", SETTINGS]):
        yield


def marks_of(names: Sequence[str]) -> dict[str, Mark]:
    """Return a mark for each name: marker and dash tell 24 names apart, with the colour 120."""
    looks = zip(cycle(PALETTE), cycle(MARKERS), cycle(DASHES), strict=False)
    return {name: Mark(*look) for name, look in zip(dict.fromkeys(names), looks, strict=False)}


def draw_page(
    caption: str,
    heights: Sequence[float],
    columns: int = 1,
    *,
    left: float = 0.6,
    between: float = 0.3,
    right: float = 0.22,
    key: Sequence[Line2D] = (),
) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure of empty panels, line by line, with a key and a caption at its foot.

    In inches: the height of each line of panels, and the room left of the first panel, between
    panels, and right of the last.
    """
    lines, key_columns = _wrapped(caption), _key_columns(key)
    key_lines = math.ceil(len(key) / key_columns)
    foot = MARGIN + LINE * len(lines)
    height = foot + LINE * (key_lines + 0.5 * bool(key))
    height += sum(h + TITLE + AXIS_LABEL for h in heights)
    figure = blank_figure(PAGE_WIDTH, height)
    width = (PAGE_WIDTH - left - right - between * (columns - 1)) / columns
    page = np.array([PAGE_WIDTH, height, PAGE_WIDTH, height])
    top, panels = height, list[list[Axes]]()
    for panel_height in heights:
        bottom = top - TITLE - panel_height
        lefts = [left + j * (width + between) for j in range(columns)]
        boxes = [np.array([x, bottom, width, panel_height]) for x in lefts]
        panels.append([figure.add_axes(tuple(box / page)) for box in boxes])
        top = bottom - AXIS_LABEL
    at, words = (MARGIN / PAGE_WIDTH, foot / height), "\n".join(lines)
    figure.text(*at, words, va="top", linespacing=LINE_SPACING, gid="caption")
    if key:
        top = MARGIN + LINE * (len(lines) + key_lines + 0.25)
        figure.legend(
            handles=key,
            ncols=key_columns,
            loc="upper left",
            bbox_to_anchor=(MARGIN / PAGE_WIDTH, top / height),
            frameon=False,
            borderaxespad=0,
            borderpad=0,
            labelspacing=0.25,
            columnspacing=KEY_GAP,
            handlelength=KEY_HANDLE,
        )
    return figure, panels


def blank_figure(width: float, height: float, dpi: int = 72) -> Figure:
    """Return an empty figure of so many inches; at 72 dots an inch, a pixel is a point."""
    figure = Figure(figsize=(width, height), dpi=dpi)
    FigureCanvasAgg(figure)
    return figure


def _wrapped(caption: str) -> list[str]:
    """Return the lines of a caption, each as wide as the page in its font."""
    lines = [""]
    for word in caption.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_size(longer)[0] > 72 * (PAGE_WIDTH - 2 * MARGIN):
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _key_columns(key: Sequence[Line2D]) -> int:
    """Return the number of columns of a key that have room beside each other."""
    names = widest([str(handle.get_label()) for handle in key])
    return max(
        1, int((PAGE_WIDTH - MARGIN) / (names + FONT_SIZE * (KEY_GAP + KEY_HANDLE + 1) / 72))
    )


def shown_name(name: str) -> str:
    """Return `learner (label)/backbone` as lines: learner/backbone, then the label, wrapped."""
    learner, opened, rest = name.partition(" (")
    label, closed, end = rest.rpartition(")")
    if not opened or not closed:
        return "\n".join(textwrap.wrap(name, NAME_WIDTH))
    lines = [line for part in (learner + end, label) for line in textwrap.wrap(part, NAME_WIDTH)]
    return "\n".join(lines)


def text_size(text: str) -> tuple[float, float]:
    """Return width and height in points of a text in the usual font size."""
    box = blank_figure(1, 1).text(0, 0, text).get_window_extent()
    return float(box.width), float(box.height)


def widest(texts: Sequence[str]) -> float:
    """Return the inches of the widest of these texts; 0 without one."""
    return max((text_size(text)[0] for text in texts), default=0.0) / 72


def write_beside(axes: Axes, text: str, at: tuple[float, float], right: float, **look: Any) -> None:
    """Write a text so many points to the right of a place."""
    axes.annotate(text, at, (right, 0), textcoords="offset points", va="center_baseline", **look)


def save(figure: Figure, path: Path, form: str) -> None:
    """Write a figure. Raises UserError when the disk refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format=form, dpi=DPI, metadata=FORMATS[form])
    except OSError as error:
        raise UserError(f"{path}: cannot write ({error.strerror or error})") from None
