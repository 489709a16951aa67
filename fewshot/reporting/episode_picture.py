"""Draws episodes of a data set as pictures, in matplotlib and without torch.

They are the very episodes that learners meet: a function of (split, seed, number).

Axes: see `fewshot.episodes.sampling`; M queries of a class; H W C image.
"""

import math
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
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
    blank_figure,
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
MARGIN, GAP, CLASS_GAP, SPACE = 24, 4, 8, 36
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
        support_KHWC = source.images_IHWC[start + episode.support_NK[label]]
        query_MHWC = source.images_IHWC[start + episode.query_Q[queries_M]]
        out.append(ClassImages(source.class_names[class_id], support_KHWC, query_MHWC, queries_M))
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
    class_px = _images_px(shape, _tile_px(source.image_size)) + CLASS_GAP
    if (height := count * (HEAD_PX + shape.n_way * class_px + SPACE)) > MOST_PX:
        raise UserError(
            f"{count} episodes of {shape.n_way} classes make a picture {height:,} pixels high, "
            f"more than {MOST_PX:,}: ask for fewer"
        )
    drawn = [draw_episode(seed, source.split, i, source.class_sizes, shape) for i in range(count)]
    episodes = [class_images(episode, source) for episode in drawn]
    heading = f"{source.dataset}, {source.split} split, seed {seed}"
    titles = [f"{heading}: episode {number}" for number in range(count)]
    with fixed_style(), warnings.catch_warnings():
        # A class may be named in characters that the font lacks: boxes stand for them.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        layout = _layout(episodes, titles, shape, _tile_px(source.image_size))
        save(_draw(episodes, titles, layout), out, form)


def _images_px(shape: EpisodeShape, tile: int) -> int:
    """Return the height of the images of a class, of which support or queries have more lines."""
    lines = max(shape.n_shot / SUPPORT_IN_LINE, shape.n_query / QUERY_IN_LINE)
    return math.ceil(lines) * (tile + GAP)


def _tile_px(image_px: int) -> int:
    """Return an image's edge in the picture: a multiple of its own where that is small."""
    return min(image_px * max(1, round(TILE_PX / image_px)), MOST_TILE_PX)


@dataclass(frozen=True)
class _Layout:
    """Measures in pixels: an image's edge, the height of a class's images, the left ends of
    support and queries, and the width of the picture.
    """

    tile: int
    images: int
    support: int
    query: int
    width: int

    def height(self, images: ClassImages) -> int:
        """Return the height of a class: of its images, or of its name where that has more lines."""
        return max(self.images, len(_name_lines(images.name)) * LINE_PX) + CLASS_GAP


def _layout(
    episodes: Sequence[Sequence[ClassImages]],
    titles: Sequence[str],
    shape: EpisodeShape,
    tile: int,
) -> _Layout:
    names = [line for classes in episodes for c in classes for line in _name_lines(c.name)]
    support = MARGIN + round(widest(names) * DPI) + SPACE // 2
    query = support + min(shape.n_shot, SUPPORT_IN_LINE) * (tile + GAP) + SPACE
    titled = round(widest(titles) * DPI * TITLE_SIZE / FONT_SIZE)
    right = query + min(shape.n_query, QUERY_IN_LINE) * (tile + GAP)
    width = max(right, MARGIN + titled) + MARGIN
    return _Layout(tile, _images_px(shape, tile), support, query, width)


def _name_lines(name: str) -> list[str]:
    return textwrap.wrap(name, NAME_WIDTH) or [""]


def _draw(
    episodes: Sequence[Sequence[ClassImages]], titles: Sequence[str], layout: _Layout
) -> Figure:
    heights = [HEAD_PX + sum(map(layout.height, classes)) + SPACE for classes in episodes]
    width, height = layout.width, MARGIN + sum(heights)
    canvas_HWC = np.full((height, width, 3), 255, np.uint8)
    figure = blank_figure(width / DPI, height / DPI, DPI)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    axes.set_axis_off()
    top = MARGIN
    for classes, title, episode_height in zip(episodes, titles, heights, strict=True):
        axes.text(MARGIN, top, title, size=TITLE_SIZE, va="top", gid="title")
        for left, words in ((layout.support, "support"), (layout.query, "queries")):
            axes.text(left, top + HEAD_PX - GAP, words, va="bottom", color=GREY, gid="kind")
        _draw_classes(classes, canvas_HWC, axes, layout, top + HEAD_PX)
        top += episode_height
    # One image for all pixels: exactly as they are, in every format.
    axes.imshow(canvas_HWC, interpolation="none", extent=(0, width, height, 0), zorder=0)
    return figure


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
        top += layout.height(images)


def _tile(image_HWC: np.ndarray, tile: int) -> np.ndarray:
    """Return the image enlarged by whole pixels, or shrunk."""
    factor = tile // len(image_HWC)
    if factor:
        return image_HWC.repeat(factor, axis=0).repeat(factor, axis=1)
    return np.asarray(Image.fromarray(image_HWC).resize((tile, tile), Image.Resampling.LANCZOS))
