"""A learner on episodes -> one row an episode.

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
from torch import Tensor
from torch.nn.functional import cross_entropy

from fewshot.clock import Clock, Use
from fewshot.config import Scoring
from fewshot.episode import EpisodeRows, Images, episode_rows
from fewshot.protocols import Augment, EpisodeSource, FeatureLearner, Learner
from fewshot.sampling import Episode, draw_disjoint_episodes, draw_episode, episodes_digest

EMBED_BATCH = 500
CHUNK_BYTES = {"cpu": 2**26, "cuda": 2**33}  # of features or activations in a chunk of episodes


@dataclass(frozen=True)
class Score:
    """The outcome of scoring a learner on a list of episodes.

    episodes: a row an episode: accuracy in 0..1, nll (mean negative log-likelihood of its query
    labels, nats), adapt_ms and predict_ms (of its chunk of episodes, divided evenly).
    digest: the hash of the list of episodes. disjoint: rows of the episodes that share no image,
    where they were asked for. embed_s: seconds to embed the split once; 0 where learners adapt on
    images. total_s: all seconds of scoring `episodes`; use: of the processors, in them.
    predictions: what the learner called each query image of the first episodes (episode, query,
    predicted: a row an image, its place among the queries and the label it was given), where they
    were to be kept.
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


@torch.no_grad()
def evaluate(
    learner: Learner,
    source: EpisodeSource,
    scoring: Scoring,
    augment: Augment,
    device: torch.device,
    disjoint: bool = False,
    keep: int = 0,
) -> Score:
    """Score `learner` on the first `scoring.episodes` episodes of a split.

    `augment` makes the copies of the support images where `scoring.support_copies` asks for
    them. `disjoint` scores the episodes of `draw_disjoint_episodes` too, for the interval over
    data. `keep` is of how many episodes the predictions are kept, the first ones. Leaves the
    learner in evaluation mode.
    """
    learner.eval()
    clock = Clock(device)
    images = Images(source, device)  # not timed: a GPU is sent the whole data set
    with clock.running():
        start = clock.now()
        view = _view(learner, source, images, scoring, augment)
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
        apart = _score_episodes(view, drawn, scoring, clock, device).rows
    predictions = _prediction_rows(scored.predicted_TQ[:keep]) if keep else None
    digest = episodes_digest(episodes)
    return Score(scored.rows, digest, apart, embed_s, clock.total, clock.use, predictions)


@dataclass(frozen=True)
class _View:
    """How a learner sees a split: as images, or as features embedded once.

    `support` and `query` turn rows (T, n) into inputs of `adapt` and `predict`; `support` gives
    each row `copies` times, the labels' order repeated whole.
    """

    class_starts: np.ndarray
    bytes_per_image: int
    copies: int
    support: Callable[[np.ndarray], Tensor]
    query: Callable[[np.ndarray], Tensor]
    adapt: Callable[[Tensor, Tensor, int], Any]
    predict: Callable[[Any, Tensor], Tensor]


def _view(
    learner: Learner,
    source: EpisodeSource,
    images: Images,
    scoring: Scoring,
    augment: Augment,
) -> _View:
    if isinstance(learner, FeatureLearner):
        return _feature_view(learner, source, images, scoring, augment)
    return _image_view(learner, source, images, scoring, augment)


def _feature_view(
    learner: FeatureLearner,
    source: EpisodeSource,
    images: Images,
    scoring: Scoring,
    augment: Augment,
) -> _View:
    """Each image of the split is embedded once, and once more for each augmented copy."""
    rows_I = source.rows

    def embed(pixels: Callable[[np.ndarray], Tensor]) -> Tensor:
        batches = np.array_split(rows_I, math.ceil(len(rows_I) / EMBED_BATCH))
        return torch.cat([learner.embed(pixels(rows)).float() for rows in batches])

    generator = torch.Generator(images.device).manual_seed(scoring.episode_seed)
    clean_ID = embed(lambda rows: images.normalized(images.pixels(rows)))
    copies_VID = [
        embed(lambda rows: images.augmented(rows, augment, generator))
        for _ in range(scoring.support_copies)
    ] or [clean_ID]
    return _View(
        class_starts=np.cumsum(source.class_sizes) - source.class_sizes,
        bytes_per_image=4 * clean_ID.shape[1],
        copies=len(copies_VID),
        support=lambda rows: torch.cat([table_ID[rows] for table_ID in copies_VID], dim=1),
        query=lambda rows: clean_ID[rows],
        adapt=learner.adapt_features,
        predict=learner.predict_features,
    )


def _image_view(
    learner: Learner,
    source: EpisodeSource,
    images: Images,
    scoring: Scoring,
    augment: Augment,
) -> _View:
    generator = torch.Generator(images.device).manual_seed(scoring.episode_seed)

    def clean(rows: np.ndarray) -> Tensor:
        return images.normalized(images.pixels(rows.ravel())).unflatten(0, rows.shape)

    def augmented(rows: np.ndarray) -> Tensor:
        repeated = np.tile(rows, scoring.support_copies)
        x_ICHW = images.augmented(repeated.ravel(), augment, generator)
        return x_ICHW.unflatten(0, repeated.shape)

    return _View(
        class_starts=source.class_starts,
        # An image of an inner loop costs its activations, some hundred times its pixels.
        bytes_per_image=1200 * source.image_size**2,
        copies=max(1, scoring.support_copies),
        support=augmented if scoring.support_copies else clean,
        query=clean,
        adapt=learner.adapt,
        predict=learner.predict,
    )


class _Scored(NamedTuple):
    """Rows of T episodes as in `Score`, and the label that each query image was given."""

    rows: pd.DataFrame
    predicted_TQ: np.ndarray


def _score_episodes(
    view: _View, episodes: list[Episode], scoring: Scoring, clock: Clock, device: torch.device
) -> _Scored:
    limit = CHUNK_BYTES.get(device.type, CHUNK_BYTES["cpu"])
    most = max(1, limit // (view.bytes_per_image * _images_per_episode(scoring)))
    chunks = np.array_split(np.arange(len(episodes)), math.ceil(len(episodes) / most))
    drawn = [episode_rows([episodes[i] for i in chunk], view.class_starts) for chunk in chunks]
    if device.type == "cuda":
        with clock.warming():  # gradient learners record a CUDA graph for each size of a chunk
            for part in {len(part.support_TS): part for part in drawn}.values():
                _adapting(view, part, device)()
    parts = [_score_chunk(view, part, clock, device) for part in drawn]
    rows = pd.concat([part.rows for part in parts], ignore_index=True)
    rows.insert(0, "episode", np.arange(len(rows)))
    return _Scored(rows, np.concatenate([part.predicted_TQ for part in parts]))


def _prediction_rows(predicted_TQ: np.ndarray) -> pd.DataFrame:
    episodes_TQ, queries_TQ = np.indices(predicted_TQ.shape, np.int32)
    return pd.DataFrame(
        {
            "episode": episodes_TQ.ravel(),
            "query": queries_TQ.ravel(),
            "predicted": predicted_TQ.ravel(),
        }
    )


def _images_per_episode(scoring: Scoring) -> int:
    per_class = scoring.n_shot * max(1, scoring.support_copies) + scoring.n_query
    return scoring.n_way * per_class


def _adapting(view: _View, rows: EpisodeRows, device: torch.device) -> Callable[[], Any]:
    """To be timed: from support images to the learner's state. The labels lie ready."""
    n_way = rows.class_ids_TN.shape[1]
    support_y_TS = torch.from_numpy(np.tile(rows.support_y_TS, view.copies)).to(device)
    return lambda: view.adapt(view.support(rows.support_TS), support_y_TS, n_way)


def _score_chunk(view: _View, rows: EpisodeRows, clock: Clock, device: torch.device) -> _Scored:
    adapt = _adapting(view, rows, device)
    query_y_TQ = torch.from_numpy(rows.query_y_TQ).to(device)
    start = clock.now()
    state = adapt()
    adapted = clock.now()
    logits_TQN = view.predict(state, view.query(rows.query_TQ)).float()
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
