"""Sources of training episodes to race: this suite's, learn2learn's and easyfsl's.

All give episodes of the same images, as normalised float tensors with labels 0..N-1. The peers'
data sets hold the images in memory and give them one by one, either as PIL images that torchvision
transforms, or (their cheapest) as float tensors: these are normalised in advance where there is no
augmentation, and else cropped, mirrored and normalised as tensors.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision import transforms

from fewshot.episodes.augment import AUGMENTS, crop_padding
from fewshot.episodes.sampling import EpisodeShape, draw_episode
from fewshot.episodes.source import EpisodeSource
from fewshot.episodes.tensors import Images, LabelledEpisodes, episode_batch, episode_indices
from fewshot.protocols import EpisodeBatch

CPU = torch.device("cpu")
SEED = 0
ENDLESS = 10**9
HELD = ("PIL images", "float tensors")
PEERS = ("learn2learn", "easyfsl")


class Parts(NamedTuple):
    """One delivered episode, its support and query apart."""

    support_x_SCHW: Tensor
    support_y_S: Tensor
    query_x_QCHW: Tensor
    query_y_Q: Tensor


class Contestant(NamedTuple):
    """A source of episodes: `draw` gives the next `at_once` of them.

    who, how: its name in the table. workers: processes beside this one. read: what was drawn, as
    one `Parts` (or, of a sampler of indices, one array of rows) for each episode; not timed.
    """

    who: str
    how: str
    workers: int
    at_once: int
    draw: Callable[[], Any]
    read: Callable[[Any], list[Any]]

    @property
    def name(self) -> tuple[str, str, int]:
        """What tells it from the others."""
        return self.who, self.how, self.workers


class Held(Dataset[tuple[Any, int]]):
    """Labelled images in memory, given one by one, as torchvision's data sets of images do."""

    def __init__(
        self, items: Sequence[Any], labels: list[int], transform: Callable[[Any], Tensor] | None
    ) -> None:
        self.items, self.labels, self.transform = items, labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        item = self.items[index]
        return item if self.transform is None else self.transform(item), self.labels[index]

    def get_labels(self) -> list[int]:
        """The label of each item, which easyfsl asks for."""
        return self.labels


def installed_peers() -> list[str]:
    """Those of the other libraries that are there."""
    return [name for name in PEERS if find_spec(name)]


def labels_of(source: EpisodeSource) -> list[int]:
    """The class of each image of the split, in the order of `source.indices`."""
    return np.repeat(np.arange(len(source.class_sizes)), source.class_sizes).tolist()


def hold(source: EpisodeSource, augment: str, held: str) -> Held:
    """The images of a split as the peers take them."""
    images_IHWC = np.ascontiguousarray(source.images_IHWC[source.indices])
    size = source.image_size
    change = {
        "none": [],
        "crop_flip": [
            transforms.RandomCrop(size, padding=crop_padding(size)),
            transforms.RandomHorizontalFlip(),
        ],
    }[augment]
    normalize = transforms.Normalize(source.mean, source.std)
    if held == "PIL images":
        steps = [*change, transforms.ToTensor(), normalize]
        pictures = [Image.fromarray(image_HWC) for image_HWC in images_IHWC]
        return Held(pictures, labels_of(source), transforms.Compose(steps))
    x_ICHW = torch.from_numpy(images_IHWC).permute(0, 3, 1, 2).contiguous() / 255
    if not change:
        return Held(normalize(x_ICHW), labels_of(source), None)
    return Held(x_ICHW, labels_of(source), transforms.Compose([*change, normalize]))


def ours(source: EpisodeSource, shape: EpisodeShape, augment: str, at_once: int) -> Contestant:
    """Batches as a training step gets them: `at_once` episodes drawn, gathered, augmented."""
    images = Images(source, CPU)
    generator = torch.Generator().manual_seed(SEED)
    drawn = index_batches(source, shape, at_once)

    def draw() -> EpisodeBatch:
        return episode_batch(next(drawn), images, AUGMENTS[augment], generator)

    def read(batch: EpisodeBatch) -> list[Parts]:
        s = batch.n_support
        return [
            Parts(x_MCHW[:s], y_M[:s], x_MCHW[s:], y_M[s:])
            for x_MCHW, y_M in zip(batch.x_TMCHW, batch.y_TM, strict=True)
        ]

    return Contestant("ours", f"{at_once} at once", 0, at_once, draw, read)


def index_batches(
    source: EpisodeSource, shape: EpisodeShape, at_once: int
) -> Iterator[LabelledEpisodes]:
    """The image indices of episodes 0, 1, 2 ..., so many at once."""
    for first in itertools.count(step=at_once):
        drawn = [
            draw_episode(SEED, source.split, number, source.class_sizes, shape)
            for number in range(first, first + at_once)
        ]
        yield episode_indices(drawn, source.class_starts)


def learn2learn(dataset: Held, how: str, shape: EpisodeShape, workers: int) -> Contestant:
    """A TaskDataset with the transforms of its examples, of which the fused one is the fastest."""
    taskset = _taskset(dataset, shape, fused=True)
    per_class = shape.n_shot + shape.n_query

    def read(task: tuple[Tensor, Tensor]) -> list[Parts]:
        # ConsecutiveLabels puts the images of a class next to one another.
        x_NKCHW, y_NK = (part.unflatten(0, (shape.n_way, per_class)) for part in task)
        halves = slice(None, shape.n_shot), slice(shape.n_shot, None)
        return [Parts(*(p[:, half].flatten(0, 1) for half in halves for p in (x_NKCHW, y_NK)))]

    if not workers:
        return Contestant("learn2learn", how, 0, 1, taskset.sample, read)
    # Of unlimited tasks a taskset keeps none, whatever index it is asked for.
    loader = DataLoader(
        taskset, batch_size=None, sampler=itertools.repeat(0, ENDLESS), num_workers=workers
    )
    return Contestant("learn2learn", how, workers, 1, iter(loader).__next__, read)


def _taskset(dataset: Held, shape: EpisodeShape, fused: bool) -> Any:
    from learn2learn.data import MetaDataset, TaskDataset
    from learn2learn.data import transforms as t

    whole = MetaDataset(dataset, indices_to_labels=dict(enumerate(dataset.labels)))
    per_class = shape.n_shot + shape.n_query
    if fused:
        choose = [t.FusedNWaysKShots(whole, n=shape.n_way, k=per_class)]
    else:
        choose = [t.NWays(whole, n=shape.n_way), t.KShots(whole, k=per_class)]
    finish = [t.LoadData(whole), t.RemapLabels(whole), t.ConsecutiveLabels(whole)]
    return TaskDataset(whole, [*choose, *finish])


def easyfsl(dataset: Held, how: str, shape: EpisodeShape, workers: int) -> Contestant:
    """A DataLoader with TaskSampler, as its notebooks write it."""
    sampler = _task_sampler(dataset, shape)
    loader = DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=sampler.episodic_collate_fn,
    )
    draw = iter(loader).__next__
    return Contestant("easyfsl", how, workers, 1, draw, lambda task: [Parts(*task[:4])])


def _task_sampler(dataset: Held, shape: EpisodeShape) -> Any:
    from easyfsl.samplers import TaskSampler

    class Compatible(TaskSampler, _OfDataSource):
        pass

    return Compatible(dataset, shape.n_way, shape.n_shot, shape.n_query, ENDLESS)


class _OfDataSource(Sampler[list[int]]):
    """What easyfsl 1.5.0 hands `data_source` on to: torch's Sampler takes it no more."""

    def __init__(self, data_source: None) -> None:
        super().__init__()


def loaders(
    source: EpisodeSource,
    shape: EpisodeShape,
    augment: str,
    at_once: Sequence[int],
    workers: Sequence[int],
    peers: Sequence[str],
) -> list[Contestant]:
    """All that deliver episodes of a split with one augmentation."""
    make = {"learn2learn": learn2learn, "easyfsl": easyfsl}
    out = [ours(source, shape, augment, n) for n in at_once]
    for held in HELD if peers else ():
        dataset = hold(source, augment, held)
        out += [make[peer](dataset, held, shape, n) for peer in peers for n in workers]
    return out


def samplers(
    source: EpisodeSource, shape: EpisodeShape, at_once: Sequence[int], peers: Sequence[str]
) -> list[Contestant]:
    """All that say which images make an episode, and load none; `read` gives rows of the split."""
    read = _rows_within(source)
    out = [
        Contestant("ours", f"{n} at once", 0, n, index_batches(source, shape, n).__next__, read)
        for n in at_once
    ]
    nothing = Held([], labels_of(source), None)
    if "learn2learn" in peers:
        for how, fused in (("FusedNWaysKShots", True), ("NWays, KShots", False)):
            describe = _taskset(nothing, shape, fused).sample_task_description
            out.append(Contestant("learn2learn", how, 0, 1, describe, _described))
    if "easyfsl" in peers:
        draw = iter(_task_sampler(nothing, shape)).__next__
        out.append(Contestant("easyfsl", "TaskSampler", 0, 1, draw, lambda rows: [np.array(rows)]))
    return out


def _rows_within(source: EpisodeSource) -> Callable[[LabelledEpisodes], list[np.ndarray]]:
    order = np.argsort(source.indices)

    def read(labelled: LabelledEpisodes) -> list[np.ndarray]:
        indices_TM = np.concatenate(
            [labelled.indices.support_TS, labelled.indices.query_TQ], axis=1
        )
        return list(order[np.searchsorted(source.indices[order], indices_TM)])

    return read


def _described(description: Sequence[Any]) -> list[np.ndarray]:
    return [np.array([item.index for item in description])]
