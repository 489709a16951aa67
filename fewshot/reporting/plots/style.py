"""The look of the figures: colours, markers, sizes, the page and its caption, and saving.

Nothing is told by colour alone: names have markers and dashes too, bars have hatches. Colours
differ in lightness as much as in hue, so they hold in grey and for the colour-blind.
"""

import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

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
SETTINGS = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so labels are as long everywhere
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE + 1,
    "axes.labelsize": FONT_SIZE,
    "xtick.labelsize": FONT_SIZE,
    "ytick.labelsize": FONT_SIZE,
    "legend.fontsize": FONT_SIZE,
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


@dataclass(frozen=True)
class Page:
    """A figure's measures in inches: lines of panels of these heights, a key and a caption.

    left, between: room for what stands left of the first panel, and of the others.
    """

    heights: tuple[float, ...]
    columns: int
    left: float = 0.6
    between: float = 0.3
    right: float = 0.22
    key_lines: int = 0


KEY_GAP, KEY_HANDLE = 1.5, 3.2  # font sizes
TITLE, AXIS_LABEL, MARGIN = 0.28, 0.48, 0.06  # inches


@contextmanager
def fixed_style() -> Iterator[None]:
    """Set SETTINGS over the defaults of matplotlib, not over the user's, which come back after."""
    with style.context(["default", SETTINGS]):
        yield


def marks_of(names: Sequence[str]) -> dict[str, Mark]:
    """Return a mark for each name: marker and dash tell 24 names apart, with the colour 120."""
    return {
        name: Mark(PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)], DASHES[i % len(DASHES)])
        for i, name in enumerate(dict.fromkeys(names))
    }


def draw_page(page: Page, caption: str) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with a caption at its foot, and its empty panels line by line."""
    lines = _wrapped(caption)
    foot = MARGIN + LINE * len(lines)
    below = foot + LINE * (page.key_lines + 0.5 * bool(page.key_lines))
    height = below + sum(h + TITLE + AXIS_LABEL for h in page.heights)
    figure = Figure(figsize=(PAGE_WIDTH, height), dpi=72)
    FigureCanvasAgg(figure)
    free = PAGE_WIDTH - page.left - page.right - page.between * (page.columns - 1)
    width, top, panels = free / page.columns, height, []
    for panel_height in page.heights:
        bottom = top - TITLE - panel_height
        lefts = [page.left + j * (width + page.between) for j in range(page.columns)]
        boxes = [(x, bottom, width, panel_height) for x in lefts]
        panels.append([_panel(figure, box, height) for box in boxes])
        top = bottom - AXIS_LABEL
    figure.text(
        MARGIN / PAGE_WIDTH,
        foot / height,
        "\n".join(lines),
        va="top",
        linespacing=LINE_SPACING,
        gid="caption",
    )
    return figure, panels


def key_lines(labels: Sequence[str]) -> int:
    """Return how many lines a key of these labels has."""
    return math.ceil(len(labels) / _key_columns(labels))


def draw_key(figure: Figure, page: Page, caption: str, handles: Sequence[Line2D]) -> None:
    """Draw a key between the panels and the caption, in as many columns as have room."""
    foot = MARGIN + LINE * (len(_wrapped(caption)) + page.key_lines + 0.25)
    figure.legend(
        handles=handles,
        ncols=_key_columns([str(handle.get_label()) for handle in handles]),
        loc="upper left",
        bbox_to_anchor=(MARGIN / PAGE_WIDTH, foot / figure.get_figheight()),
        frameon=False,
        borderaxespad=0,
        borderpad=0,
        labelspacing=0.25,
        columnspacing=KEY_GAP,
        handlelength=KEY_HANDLE,
    )


def _wrapped(caption: str) -> list[str]:
    """Return the lines of a caption, each as wide as the page in its font."""
    figure = _empty()
    width, space = 72 * (PAGE_WIDTH - 2 * MARGIN), _space(figure)
    lines: list[list[str]] = [[]]
    used = 0.0
    for word in caption.split():
        needed = text_size(figure, word)[0]
        if lines[-1] and used + space + needed > width:
            lines.append([])
            used = 0.0
        used += (space if lines[-1] else 0.0) + needed
        lines[-1].append(word)
    return [" ".join(line) for line in lines]


def _space(figure: Figure) -> float:
    return text_size(figure, "n n")[0] - text_size(figure, "nn")[0]


def _empty() -> Figure:
    figure = Figure(dpi=72)
    FigureCanvasAgg(figure)
    return figure


def _key_columns(labels: Sequence[str]) -> int:
    one = widest(labels) + FONT_SIZE * (KEY_GAP + KEY_HANDLE + 1) / 72
    return max(1, int((PAGE_WIDTH - MARGIN) / one))


def shown_name(name: str, width: int = NAME_WIDTH) -> str:
    """Return `learner (label)/backbone` as lines: learner/backbone, then the label, wrapped."""
    learner, opened, rest = name.partition(" (")
    label, closed, end = rest.rpartition(")")
    if not opened or not closed:
        return "\n".join(textwrap.wrap(name, width))
    lines = textwrap.wrap(learner + end, width) + textwrap.wrap(label, width)
    return "\n".join(lines)


def text_size(figure: Figure, text: str) -> tuple[float, float]:
    """Return width and height in points of a text in the figure's font size."""
    probe = figure.text(0, 0, text)
    box = probe.get_window_extent()
    probe.remove()
    return 72 * box.width / figure.dpi, 72 * box.height / figure.dpi


def widest(texts: Sequence[str]) -> float:
    """Return the inches of the widest of these texts."""
    figure = _empty()
    return max(text_size(figure, text)[0] for text in texts) / 72


def save(figure: Figure, path: Path, form: str) -> None:
    """Write a figure. Raises UserError when the disk refuses."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format=form, dpi=DPI, metadata=FORMATS[form])
    except OSError as error:
        raise UserError(f"{path}: cannot write ({error.strerror or error})") from None


def _panel(figure: Figure, box: tuple[float, float, float, float], height: float) -> Axes:
    left, bottom, width, panel_height = box
    return figure.add_axes(
        (left / PAGE_WIDTH, bottom / height, width / PAGE_WIDTH, panel_height / height)
    )
