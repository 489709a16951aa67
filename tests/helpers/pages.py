"""Cells on disk for tests of the page."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
from helpers.cells import made_cell

from fewshot.data.splits import parse_split
from fewshot.episodes.sampling import EpisodeShape, draw_episode, episodes_digest
from fewshot.results.files import read_cells, write_cell

PER_CLASS = 24
SPLIT = 'train = ["c0", "c1"]\nval = ["c2"]\ntest = ["c3", "c4", "c5", "c6"]\n'

CURVE = [
    {"step": 1, "seconds": 10.5, "images": 1000, "loss": 1.0, "lr": 0.1, "val_accuracy": 0.25},
    {"step": 2, "seconds": 21.0, "images": 2000, "loss": 0.5, "lr": 0.1, "val_accuracy": 0.5},
]


@lru_cache
def digest_of(shape, sizes):
    return episodes_digest(draw_episode(0, "test", i, sizes, shape) for i in range(2000))


def on_disk(cells, folder, curve=CURVE):
    """The cells as `read_cells` gives them; folders have numbers, as names may be anything."""
    for i, cell in enumerate(cells):
        trained = cell.run.training is not None
        lines = curve if trained else []
        write_cell(folder / f"{i:03}", cell.run, lines, cell.episodes, cell.disjoint, cell.examples)
    return read_cells(folder)


def scored_on(store, *learners, n_way=3, shots=(1, 5), fingerprint=None, digest=None):
    """Cells of these learners on the first episodes of the test split."""
    sizes = (PER_CLASS,) * len(parse_split(SPLIT).test)
    cells = []
    for shot in shots:
        drawn = digest_of(EpisodeShape(n_way, shot, 15), sizes)
        for k, learner in enumerate(learners):
            accuracies = (np.arange(6) + k + shot) / 45
            cells.append(
                made_cell(
                    learner,
                    *accuracies,
                    dataset="birds",
                    n_way=n_way,
                    n_shot=shot,
                    fingerprint=fingerprint or store.fingerprint,
                    digest=digest or drawn,
                )
            )
    return cells


def answered(cell, kept=4, seed=0, sizes=(PER_CLASS,) * 4):
    """The cell with predictions of its first episodes, drawn at random, and their accuracies."""
    rng, scoring = np.random.default_rng(seed), cell.run.config.scoring
    shape = EpisodeShape(scoring.n_way, scoring.n_shot, scoring.n_query)
    accuracy, frames = cell.episodes["accuracy"].to_numpy().copy(), []
    for i in range(kept):
        labels = draw_episode(0, "test", i, sizes, shape).query_y_Q
        predicted = rng.integers(0, shape.n_way, len(labels))
        accuracy[i] = (predicted == labels).mean()
        queries = np.arange(len(labels))
        frames.append(pd.DataFrame({"episode": i, "query": queries, "predicted": predicted}))
    examples = pd.concat(frames, ignore_index=True).astype(np.int16)
    return replace(cell, episodes=cell.episodes.assign(accuracy=accuracy), examples=examples)
