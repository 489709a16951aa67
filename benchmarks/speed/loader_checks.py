"""Whether a source of episodes gives valid ones, seen in images that tell which image they are."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from loaders import Contestant, Parts, labels_of
from torch import Tensor

from fewshot.episodes.sampling import EpisodeShape
from fewshot.episodes.source import EpisodeSource

EPISODES = 20
LEFT = 128  # added to the blue of the left half
TOLERANCE = 1e-2  # of 255: normalising and back is exact to a few 1e-5


def marked_source(like: EpisodeSource, per_class: int) -> EpisodeSource:
    """A split of as many classes, each image of a colour of its own, and bluer in its left half.

    Colours are never black, as is what a crop takes from beyond the border. A crop leaves what is
    read, a quarter from either side, in its half: in images of 20 pixels (36, where it pads by 8).
    """
    n_classes, size = len(like.class_sizes), like.image_size
    number_I = np.arange(1, n_classes * per_class + 1)
    colour_I3 = np.stack([number_I >> shift & 255 for shift in (0, 8, 16)], axis=1)
    images_IHWC = np.empty((len(number_I), size, size, 3), np.uint8)
    images_IHWC[:] = colour_I3[:, None, None, :]
    images_IHWC[:, :, : size // 2, 2] += LEFT
    return replace(
        like,
        images_IHWC=images_IHWC,
        class_starts=np.arange(n_classes) * per_class,
        class_sizes=np.full(n_classes, per_class),
    )


def read_marks(x_ICHW: Tensor, source: EpisodeSource) -> tuple[np.ndarray, Tensor, Tensor]:
    """Which images of a marked source these are, and which are mirrored, and padded by a crop.

    Raises ValueError where they are not its images, normalised by its mean and deviation.
    """
    mean_C11, std_C11 = (torch.tensor(v)[:, None, None] for v in (source.mean, source.std))
    pixels = (x_ICHW * std_C11 + mean_C11) * 255
    if float((pixels - pixels.round()).abs().max()) > TOLERANCE:
        raise ValueError("pixels are not normalised by mean and deviation")
    pixels_ICHW = pixels.round().long()
    middle, quarter = source.image_size // 2, source.image_size // 4
    left_I3, right_I3 = (pixels_ICHW[:, :, middle, c] for c in (quarter, -1 - quarter))
    mirrored_I = right_I3[:, 2] >= LEFT
    bluer_I3 = torch.where(mirrored_I[:, None], right_I3, left_I3)
    plain_I3 = torch.where(mirrored_I[:, None], left_I3, right_I3)
    number_I = (plain_I3 << torch.tensor([0, 8, 16])).sum(1)
    known = (number_I >= 1) & (number_I <= len(source.images_IHWC))
    if not bool((known & (bluer_I3 - plain_I3 == torch.tensor([0, 0, LEFT])).all(1)).all()):
        raise ValueError("an image that is none of the data set's")
    return number_I.numpy() - 1, mirrored_I, (pixels_ICHW == 0).all(1).flatten(1).any(1)


def check_rows(rows_M: np.ndarray, labels: Sequence[int], shape: EpisodeShape) -> None:
    """Raises ValueError where rows of a split are not N classes of K + M different images."""
    if len(np.unique(rows_M)) != len(rows_M):
        raise ValueError("an image stands twice in an episode")
    classes, counts = np.unique(np.asarray(labels)[rows_M], return_counts=True)
    if len(classes) != shape.n_way or set(counts) != {shape.n_shot + shape.n_query}:
        raise ValueError(f"an episode of {dict(zip(classes, counts, strict=True))} images a class")


def check_form(parts: Parts, shape: EpisodeShape, image_size: int) -> None:
    """Raises ValueError where types, shapes, or the labels of support or query are not right."""
    halves = (parts[:2], shape.n_shot), (parts[2:], shape.n_query)
    for (x_ICHW, y_I), per_class in halves:
        expected = (shape.n_way * per_class, 3, image_size, image_size)
        if x_ICHW.dtype != torch.float32 or tuple(x_ICHW.shape) != expected:
            raise ValueError(f"images of {tuple(x_ICHW.shape)} {x_ICHW.dtype}, not {expected}")
        if y_I.bincount(minlength=shape.n_way).tolist() != [per_class] * shape.n_way:
            raise ValueError(f"labels {y_I.tolist()}")


def check_marked(
    parts: Parts, source: EpisodeSource, shape: EpisodeShape
) -> tuple[frozenset[int], Tensor, Tensor]:
    """Raises ValueError unless this is an episode of a marked source; its rows, and their changes.

    Of the changes: which images are mirrored, and which are padded.
    """
    check_form(parts, shape, source.image_size)
    x_MCHW = torch.cat([parts.support_x_SCHW, parts.query_x_QCHW])
    y_M = torch.cat([parts.support_y_S, parts.query_y_Q]).numpy()
    rows_M, mirrored_M, padded_M = read_marks(x_MCHW, source)
    labels = labels_of(source)
    check_rows(rows_M, labels, shape)
    if len({(labels[row], label) for row, label in zip(rows_M, y_M, strict=True)}) != shape.n_way:
        raise ValueError("a label stands for two classes")
    return frozenset(rows_M.tolist()), mirrored_M, padded_M


def check_loader(
    contestant: Contestant, source: EpisodeSource, shape: EpisodeShape, augment: str
) -> None:
    """Draw episodes of a marked source. Raises ValueError for a wrong one, or all the same."""
    rows, mirrored, padded = set(), [], []
    while len(mirrored) < EPISODES:
        for parts in contestant.read(contestant.draw()):
            episode_indices, mirrored_M, padded_M = check_marked(parts, source, shape)
            rows.add(episode_indices)
            mirrored.append(mirrored_M.float())
            padded.append(padded_M.float())
    if len(rows) < len(mirrored):
        raise ValueError("the same episode twice")
    shares = [float(torch.cat(part).mean()) for part in (mirrored, padded)]
    # Half of 2,000 images mirrored, give or take 5 deviations; 80 in 81 crops are off the centre.
    right = {
        "none": shares == [0, 0],
        "crop_flip": abs(shares[0] - 0.5) < 0.056 and shares[1] > 0.95,
    }
    if not right[augment]:
        raise ValueError("{:.0%} mirrored, {:.0%} padded".format(*shares))
