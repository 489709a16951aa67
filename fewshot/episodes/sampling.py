"""Draws of episodes and batches: their classes and images, as integers.

Every function here is a pure function of its arguments, in numpy alone. Random order comes from
sorting the raw 64-bit output of PCG64: numpy promises that stream for ever, while it reserves the
right to change `Generator.permutation`. So no release of numpy moves an episode.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Literal, NamedTuple, get_args

import numpy as np

from fewshot.errors import UserError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
HIGHEST_DRAW = 2**64 - 1


@dataclass(frozen=True)
class EpisodeShape:
    """Classes in an episode, and support and query images of each class."""

    n_way: int
    n_shot: int
    n_query: int


class Episode(NamedTuple):
    """One episode as integers; `N` way, `K` shot, `Q` query images in the episode.

    class_ids_N: which classes of the split, in the order of their labels 0..N-1.
    support_NK: for each class, which of its images (0 .. class size - 1) are the support.
    query_Q: for each query image, which image of its class it is.
    query_y_Q: the label 0..N-1 of each query image; shuffled, so that order tells nothing.
    """

    class_ids_N: np.ndarray
    support_NK: np.ndarray
    query_Q: np.ndarray
    query_y_Q: np.ndarray


def check_class_count(n_classes: int, split: Split, shape: EpisodeShape, where: str = "") -> None:
    """Raise UserError, which begins with `where`, when a split has fewer classes than ways."""
    if n_classes < shape.n_way:
        raise UserError(
            f"{where}the {split} split has {n_classes} classes, fewer than {shape.n_way} ways"
        )


def check_class_size(
    size: int, name: object, split: Split, shape: EpisodeShape, where: str = ""
) -> None:
    """Raise UserError, which begins with `where`, when a class has too few images to serve."""
    if size < shape.n_shot + shape.n_query:
        raise UserError(
            f"{where}class {name} of the {split} split has {size} images, fewer than "
            f"{shape.n_shot} support + {shape.n_query} query"
        )


def draw_episode(
    seed: int,
    split: Split,
    index: int,
    class_sizes: Sequence[int] | np.ndarray,
    shape: EpisodeShape,
) -> Episode:
    """Return episode number `index` of a split: these arguments alone decide which it is.

    Each class is put in one random order; the support is its first `n_shot` images, the queries
    are taken from its end. So the 1-shot support lies inside the 5-shot one, and the queries are
    the same at every shot, without anyone saying in advance which shots there will be. The
    classes of an episode with fewer ways are the first ones of the episode with more.

    Raises UserError when the split has fewer than `n_way` classes or a class too few images.

    >>> one = draw_episode(0, "test", 7, [600] * 20, EpisodeShape(n_way=5, n_shot=1, n_query=15))
    >>> five = draw_episode(0, "test", 7, [600] * 20, EpisodeShape(n_way=5, n_shot=5, n_query=15))
    >>> bool((one.support_NK == five.support_NK[:, :1]).all())
    True
    >>> one.query_Q.shape, bool((one.query_Q == five.query_Q).all())
    ((75,), True)
    """
    n_way, n_shot, n_query = shape.n_way, shape.n_shot, shape.n_query
    bits = np.random.PCG64([seed, SPLITS.index(split), index])
    check_class_count(len(class_sizes), split, shape)
    class_ids_N = _lowest(bits.random_raw(len(class_sizes)), n_way)
    support_NK = np.empty((n_way, n_shot), np.int64)
    query_NM = np.empty((n_way, n_query), np.int64)
    for label, class_id in enumerate(class_ids_N):
        size = int(class_sizes[class_id])
        check_class_size(size, class_id, split, shape)
        draws = bits.random_raw(size)
        support_NK[label], query_NM[label] = _lowest(draws, n_shot), _lowest(~draws, n_query)
    return _episode(bits, class_ids_N, support_NK, query_NM)


def draw_disjoint_episodes(
    seed: int, split: Split, class_sizes: Sequence[int] | np.ndarray, shape: EpisodeShape
) -> list[Episode]:
    """Return episodes of a split that share no image, as many as there are images for.

    An interval over them says how far a mean would move with other *images*, where episodes that
    draw the same images again and again cannot ("Oops, I Sampled it Again", Lafargue et al., TMLR
    2024). Each takes the classes with most images left, in random order where they have as many,
    so that few images are left over. A pure function of its arguments.

    >>> len(draw_disjoint_episodes(0, "test", [600] * 20, EpisodeShape(5, 5, 15)))
    120
    """
    bits = np.random.PCG64([seed, SPLITS.index(split), len(class_sizes), shape.n_shot])
    orders = [_permutation(bits, int(size)) for size in class_sizes]
    per_class = shape.n_shot + shape.n_query
    left = np.array([int(size) // per_class for size in class_sizes])  # how often a class can serve
    episodes = []
    while np.count_nonzero(left) >= shape.n_way:
        mixed = _permutation(bits, len(left))
        class_ids_N = mixed[np.argsort(-left[mixed], kind="stable")][: shape.n_way]
        taken_NM = np.stack(
            [orders[c][(left[c] - 1) * per_class : left[c] * per_class] for c in class_ids_N]
        )
        left[class_ids_N] -= 1
        support_NK, query_NM = taken_NM[:, : shape.n_shot], taken_NM[:, shape.n_shot :]
        episodes.append(_episode(bits, class_ids_N, support_NK, query_NM))
    return episodes


def _episode(
    bits: np.random.PCG64, class_ids_N: np.ndarray, support_NK: np.ndarray, query_NM: np.ndarray
) -> Episode:
    shuffle = _permutation(bits, query_NM.size)
    n_query = max(query_NM.shape[1], 1)
    return Episode(class_ids_N, support_NK, query_NM.ravel()[shuffle], shuffle // n_query)


def draw_batch(seed: int, step: int, n_images: int, batch_size: int) -> np.ndarray:
    """Return which of `n_images` images are batch number `step`.

    Batches are taken from shuffled passes over all images, each of which drops its rest.
    """
    batch_size = min(batch_size, n_images)
    batches_per_pass = n_images // batch_size
    number, batch = divmod(step, batches_per_pass)
    return _pass(seed, number, n_images)[batch * batch_size : (batch + 1) * batch_size]


@lru_cache(maxsize=1)  # one order serves all batches of a pass: sorting 448,695 images takes 50 ms
def _pass(seed: int, number: int, n_images: int) -> np.ndarray:
    order = _permutation(np.random.PCG64([seed, len(SPLITS), number]), n_images)
    order.flags.writeable = False
    return order


def episodes_digest(episodes: Iterable[Episode]) -> str:
    """Return a hash of episodes: equal ones mean the same images in the same places."""
    digest = sha256()
    for episode in episodes:
        for part in episode:
            digest.update(np.ascontiguousarray(part, dtype="<i8").tobytes())
    return digest.hexdigest()[:16]


def _permutation(bits: np.random.PCG64, n: int) -> np.ndarray:
    return bits.random_raw(n).argsort(kind="stable")


def _lowest(draws: np.ndarray, count: int) -> np.ndarray:
    """Return the places of the `count` lowest of many random draws, in their order.

    Only draws below a limit that about twice as many keep are sorted, so that an episode of large
    classes costs no more than one of small ones.
    """
    limit = HIGHEST_DRAW * min(2 * count + 20, len(draws)) // len(draws)
    (low,) = (draws <= np.uint64(limit)).nonzero()
    if len(low) < count:  # once in many millions of episodes
        low = np.arange(len(draws))
    return low[draws[low].argsort(kind="stable")[:count]]
