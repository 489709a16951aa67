"""Draws episodes of a data set as pictures, in matplotlib and without torch.

They are the very episodes that learners meet: a function of (split, seed, number).

Axes: see `fewshot.episodes.sampling`; M queries of a class; H W C image.
"""

import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from fewshot.episodes.sampling import Episode, EpisodeShape, draw_episode
from fewshot.episodes.source import EpisodeSource
from fewshot.errors import UserError
from fewshot.reporting.plots.style import (
    DPI,
    FONT_SIZE,
    FORMATS,
    GREY,
    LINE,
    fixed_style,
    save,
    widest,
)

TILE_PX, MOST_TILE_PX = 84, 128
"""Images smaller than the first are enlarged to about that, those larger than the second shrink."""
SUPPORT_IN_LINE, QUERY_IN_LINE = 5, 15
MOST_PX = 16_000
"""Height of a picture: programs refuse images of more than twice as much, or show them badly."""
NAME_WIDTH = 22  # characters of a line of a class name
MARGIN, GAP, ROW_GAP, SPACE = 24, 4, 8, 36
"""Pixels around all; between images, between classes besides, between support and queries."""
LINE_PX = round(LINE * DPI)
HEAD_PX = 5 * LINE_PX // 2  # what stands above the images of an episode
TITLE_SIZE = FONT_SIZE + 1


class ClassImages(NamedTuple):
    """The images of one class of an episode, uint8. queries_M: the places of its query images
    among all those of the episode, which learners get mixed.
    """

    name: str
    support_KHWC: np.ndarray
    query_MHWC: np.ndarray
    queries_M: np.ndarray


def class_images(episode: Episode, source: EpisodeSource) -> list[ClassImages]:
    """Return the images of an episode, class by class in the order of their labels."""
    out = []
    for label, class_id in enumerate(episode.class_ids_N):
        start = source.class_starts[class_id]
        queries_M = np.flatnonzero(episode.query_y_Q == label)
        out.append(
            ClassImages(
                source.class_names[class_id],
                source.images_IHWC[start + episode.support_NK[label]],
                source.images_IHWC[start + episode.query_Q[queries_M]],
                queries_M,
            )
        )
    return out


def write_episodes(
    source: EpisodeSource, shape: EpisodeShape, seed: int, count: int, out: Path
) -> None:
    """Draw the first `count` episodes of a split as one picture, in the format that `out` ends in.

    Raises UserError for another ending, a split that has too few classes or a class that has too
    few images, a picture that would be too high, and when the disk refuses.
    """
    form = out.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        endings = ", ".join(f".{known}" for known in FORMATS)
        raise UserError(f"{out}: unknown format, a picture's name ends in one of {endings}")
    source.check_shape(shape)
    _refuse_high(source, shape, count)
    drawn = [draw_episode(seed, source.split, i, source.class_sizes, shape) for i in range(count)]
    heading = f"{source.dataset}, {source.split} split, seed {seed}"
    with fixed_style(), warnings.catch_warnings():
        # A class may be named in characters that the font lacks: boxes stand for them.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        titles = [f"{heading}: episode {number}" for number in range(count)]
        save(_draw([class_images(e, source) for e in drawn], titles), out, form)


def _refuse_high(source: EpisodeSource, shape: EpisodeShape, count: int) -> None:
    lines = max(_lines(shape.n_shot, SUPPORT_IN_LINE), _lines(shape.n_query, QUERY_IN_LINE))
    row = lines * (_tile_px(source.image_size) + GAP) + ROW_GAP
    if (height := count * (HEAD_PX + shape.n_way * row + SPACE)) > MOST_PX:
        raise UserError(
            f"{count} episodes of {shape.n_way} classes make a picture {height:,} pixels high, "
            f"more than {MOST_PX:,}: ask for fewer"
        )


def _lines(images: int, in_line: int) -> int:
    return -(-images // in_line)


def _tile_px(image_px: int) -> int:
    """Return an image's edge in the picture: a multiple of its own where that is small."""
    return min(image_px * max(1, round(TILE_PX / image_px)), MOST_TILE_PX)


@dataclass(frozen=True)
class _Layout:
    """Measures in pixels: edge of an image, where support and queries begin, and the width."""

    tile: int
    support: int
    query: int
    width: int

    def row(self, images: ClassImages) -> int:
        """Return the height of a class: of its images, or of its name where that has more lines."""
        lines = max(
            _lines(len(images.support_KHWC), SUPPORT_IN_LINE),
            _lines(len(images.query_MHWC), QUERY_IN_LINE),
        )
        named = len(_name_lines(images.name)) * LINE_PX
        return max(lines * (self.tile + GAP), named) + ROW_GAP


def _layout(episodes: Sequence[Sequence[ClassImages]], titles: Sequence[str]) -> _Layout:
    images = episodes[0][0]
    tile = _tile_px(images.support_KHWC.shape[1])
    names = [line for classes in episodes for c in classes for line in _name_lines(c.name)]
    support = MARGIN + round(widest(names) * DPI) + SPACE // 2
    n_support = min(len(images.support_KHWC), SUPPORT_IN_LINE)
    n_query = min(len(images.query_MHWC), QUERY_IN_LINE)
    query = support + n_support * (tile + GAP) + SPACE
    titled = round(widest(titles) * DPI * TITLE_SIZE / FONT_SIZE)
    width = max(query + n_query * (tile + GAP), MARGIN + titled) + MARGIN
    return _Layout(tile, support, query, width)


def _name_lines(name: str) -> list[str]:
    return textwrap.wrap(name, NAME_WIDTH) or [""]


def _draw(episodes: Sequence[Sequence[ClassImages]], titles: Sequence[str]) -> Figure:
    layout = _layout(episodes, titles)
    heights = [HEAD_PX + sum(map(layout.row, classes)) + SPACE for classes in episodes]
    canvas_HWC = np.full((MARGIN + sum(heights), layout.width, 3), 255, np.uint8)
    figure, axes = _empty(canvas_HWC.shape[0], layout.width)
    top = MARGIN
    for classes, title, height in zip(episodes, titles, heights, strict=True):
        axes.text(MARGIN, top, title, size=TITLE_SIZE, va="top", gid="title")
        for left, words in ((layout.support, "support"), (layout.query, "queries")):
            axes.text(left, top + HEAD_PX - GAP, words, va="bottom", color=GREY, gid="kind")
        _draw_classes(classes, canvas_HWC, axes, layout, top + HEAD_PX)
        top += height
    # One image for all pixels: exactly as they are, in every format.
    axes.imshow(
        canvas_HWC, interpolation="none", extent=(0, layout.width, len(canvas_HWC), 0), zorder=0
    )
    return figure


def _empty(height: int, width: int) -> tuple[Figure, Axes]:
    """Return a figure of so many pixels at `DPI`, and axes that count them from the top."""
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    axes.set_autoscale_on(False)
    return figure, axes


def _draw_classes(
    classes: Sequence[ClassImages], canvas_HWC: np.ndarray, axes: Axes, layout: _Layout, top: int
) -> None:
    for images in classes:
        name = "\n".join(_name_lines(images.name))
        axes.text(MARGIN, top, name, va="top", linespacing=1.2, gid="name")
        for left, shown_IHWC, in_line in (
            (layout.support, images.support_KHWC, SUPPORT_IN_LINE),
            (layout.query, images.query_MHWC, QUERY_IN_LINE),
        ):
            for place, image_HWC in enumerate(shown_IHWC):
                line, column = divmod(place, in_line)
                y, x = (top + line * (layout.tile + GAP), left + column * (layout.tile + GAP))
                canvas_HWC[y : y + layout.tile, x : x + layout.tile] = _tile(image_HWC, layout.tile)
        top += layout.row(images)


def _tile(image_HWC: np.ndarray, tile: int) -> np.ndarray:
    """Return the image enlarged by whole pixels, or shrunk."""
    factor = tile // len(image_HWC)
    if factor:
        return image_HWC.repeat(factor, axis=0).repeat(factor, axis=1)
    return np.asarray(Image.fromarray(image_HWC).resize((tile, tile), Image.Resampling.LANCZOS))
