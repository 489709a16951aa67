"""A learner on episodes, and the score of each episode.

The only code that holds the query labels of validation and test episodes. A learner is given
support images with labels and query images without.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from fewshot.episodes.sampling import Episode, draw_disjoint_episodes, draw_episode, episodes_digest
from fewshot.episodes.source import EpisodeSource
from fewshot.episodes.tensors import EpisodeIndices, Images, LabelledEpisodes, episode_indices
from fewshot.harness.clock import Clock, Use
from fewshot.harness.recipe import Scoring
from fewshot.harness.views import View, view_of
from fewshot.protocols import Augment, FeatureLearner, Learner
from fewshot.statistics.intervals import Interval, mean_ci95

ACTIVATION_BYTES = {"cpu": 2**26, "cuda": 2**33}
"""Memory of the features or activations of episodes that are scored together."""


@dataclass(frozen=True)
class Score:
    """The outcome of scoring a learner on a list of episodes.

    episodes: a line for each episode, with its accuracy in 0..1, nll (mean negative log-likelihood
    of its query labels, nats), adapt_ms and predict_ms (those of its chunk of episodes, divided
    evenly). digest: the hash of the list of episodes. disjoint: the same scores of the episodes
    that share no image, where they were asked for. embed_s: seconds to embed the split once; 0
    where learners adapt on images. total_s: all seconds of scoring `episodes`; use: who used the
    processors in them. predictions, where they were to be kept: a line for each query image of the
    first episodes, with its episode, its place among the queries, and the label it was given.
    """

    episodes: pd.DataFrame
    digest: str
    disjoint: pd.DataFrame | None
    embed_s: float
    total_s: float
    use: Use
    predictions: pd.DataFrame | None = None

    @property
    def accuracy(self) -> float:
        """Mean accuracy over the episodes."""
        return float(self.episodes["accuracy"].mean())

    @property
    def interval(self) -> Interval:
        """Mean accuracy and the half-width of its 95 % interval over the episodes."""
        return mean_ci95(self.episodes["accuracy"].to_numpy())


@torch.no_grad()
def evaluate(
    learner: Learner,
    source: EpisodeSource,
    scoring: Scoring,
    augment: Augment,
    device: torch.device,
    disjoint: bool = False,
    keep: int = 0,
    memory_gb: float | None = None,
) -> Score:
    """Score `learner` on the first `scoring.episodes` episodes of a split.

    `augment` makes the copies of the support images where `scoring.support_copies` asks for
    them. `disjoint` scores the episodes of `draw_disjoint_episodes` too, for the interval over
    data. The predictions of the first `keep` episodes are kept. memory_gb: as in `Images`.
    Leaves the learner in evaluation mode.
    """
    learner.eval()
    clock = Clock(device)
    images = Images(source, device, memory_gb)  # not timed: a GPU is sent the whole data set
    with clock.running():
        start = clock.now()
        view = view_of(learner, source, images, scoring, augment)
        embed_s = clock.now() - start if isinstance(learner, FeatureLearner) else 0.0
        episodes = [
            draw_episode(scoring.episode_seed, source.split, i, source.class_sizes, scoring.shape)
            for i in range(scoring.episodes)
        ]
        scored = _score_episodes(view, episodes, scoring, clock, device)
    apart = None
    if disjoint:
        drawn = draw_disjoint_episodes(
            scoring.episode_seed, source.split, source.class_sizes, scoring.shape
        )
        apart = _score_episodes(view, drawn, scoring, clock, device).episodes
    predictions = _predictions(scored.predicted_TQ[:keep]) if keep else None
    digest = episodes_digest(episodes)
    return Score(scored.episodes, digest, apart, embed_s, clock.total, clock.use, predictions)


class _Scored(NamedTuple):
    """The scores of T episodes as in `Score`, and the label that each query image was given."""

    episodes: pd.DataFrame
    predicted_TQ: np.ndarray


def _score_episodes(
    view: View, episodes: list[Episode], scoring: Scoring, clock: Clock, device: torch.device
) -> _Scored:
    limit = ACTIVATION_BYTES.get(device.type, ACTIVATION_BYTES["cpu"])
    n_images = scoring.n_way * (scoring.n_shot * view.copies + scoring.n_query)
    most = max(1, limit // (view.bytes_per_image * n_images))
    chunks = np.array_split(np.arange(len(episodes)), math.ceil(len(episodes) / most))
    drawn = [episode_indices([episodes[i] for i in chunk], view.class_starts) for chunk in chunks]
    if device.type == "cuda":
        with clock.warming():  # gradient learners record a CUDA graph for each size of a chunk
            for part in {len(part.query_y_TQ): part.indices for part in drawn}.values():
                _adapting(view, part, device)()
    parts = [_score_chunk(view, part, clock, device) for part in drawn]
    scores = pd.concat([part.episodes for part in parts], ignore_index=True)
    scores.insert(0, "episode", np.arange(len(scores)))
    return _Scored(scores, np.concatenate([part.predicted_TQ for part in parts]))


def _predictions(predicted_TQ: np.ndarray) -> pd.DataFrame:
    names = ("episode", "query", "predicted")
    values = (*np.indices(predicted_TQ.shape, np.int32), predicted_TQ)
    return pd.DataFrame({name: x_TQ.ravel() for name, x_TQ in zip(names, values, strict=True)})


def _adapting(view: View, indices: EpisodeIndices, device: torch.device) -> Callable[[], Any]:
    """Return the work to be timed, from support images to the learner's state.

    The support labels are on the device before it begins.
    """
    n_way = indices.class_ids_TN.shape[1]
    support_y_TS = torch.from_numpy(np.tile(indices.support_y_TS, view.copies)).to(device)
    return lambda: view.adapt(view.support(indices.support_TS), support_y_TS, n_way)


def _score_chunk(
    view: View, labelled: LabelledEpisodes, clock: Clock, device: torch.device
) -> _Scored:
    adapt = _adapting(view, labelled.indices, device)
    query_y_TQ = torch.from_numpy(labelled.query_y_TQ).to(device)
    start = clock.now()
    state = adapt()
    adapted = clock.now()
    logits_TQN = view.predict(state, view.query(labelled.indices.query_TQ)).float()
    predicted = clock.now()
    nll_TQ = cross_entropy(logits_TQN.mT, query_y_TQ, reduction="none")
    predicted_TQ = logits_TQN.argmax(-1)
    n_episodes = len(query_y_TQ)
    scored = pd.DataFrame(
        {
            "accuracy": (predicted_TQ == query_y_TQ).double().mean(1).cpu().numpy(),
            "nll": nll_TQ.double().mean(1).cpu().numpy(),
            "adapt_ms": 1000 * (adapted - start) / n_episodes,
            "predict_ms": 1000 * (predicted - adapted) / n_episodes,
        }
    )
    return _Scored(scored, predicted_TQ.to(torch.int16).cpu().numpy())
