"""Few-shot learners, one harness: which gives what accuracy at what wall-clock cost.

>>> import fewshot
>>> fewshot.EpisodeShape(n_way=5, n_shot=1, n_query=15)
EpisodeShape(n_way=5, n_shot=1, n_query=15)

Every name is loaded when it is first used; those that read data and results need no torch.
"""

from importlib import import_module
from threading import RLock
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "backbones.registry": ("list_backbones",),
    "data": ("open_split",),
    "data.catalogue": ("list_datasets",),
    "episodes.sampling": ("Episode", "EpisodeShape"),
    "episodes.tensors": ("draw_episode",),
    "errors": ("UserError",),
    "harness.recipe": ("Recipe", "Scoring"),
    "learners.registry": ("list_learners",),
    "options": ("option",),
    "protocols": ("Backbone", "EpisodeBatch", "FeatureLearner", "ImageBatch", "Learner"),
    "reporting.folder": ("compare", "plot", "report", "table"),
    "results.frame": ("read_results",),
    "runner.benchmark": ("load_benchmark", "run"),
    "runner.cells": ("Cell",),
    "runner.conformance.outcomes": ("check",),
    "runner.one_learner": ("evaluate", "predict", "train"),
}
"""The modules below `fewshot` with the public names that each holds."""
_MODULES = {name: module for module, names in _PUBLIC.items() for name in names}

if TYPE_CHECKING:  # `as` makes mypy and editors see the names
    from fewshot.backbones.registry import list_backbones as list_backbones
    from fewshot.data import open_split as open_split
    from fewshot.data.catalogue import list_datasets as list_datasets
    from fewshot.episodes.sampling import Episode as Episode
    from fewshot.episodes.sampling import EpisodeShape as EpisodeShape
    from fewshot.episodes.tensors import draw_episode as draw_episode
    from fewshot.errors import UserError as UserError
    from fewshot.harness.recipe import Recipe as Recipe
    from fewshot.harness.recipe import Scoring as Scoring
    from fewshot.learners.registry import list_learners as list_learners
    from fewshot.options import option as option
    from fewshot.protocols import Backbone as Backbone
    from fewshot.protocols import EpisodeBatch as EpisodeBatch
    from fewshot.protocols import FeatureLearner as FeatureLearner
    from fewshot.protocols import ImageBatch as ImageBatch
    from fewshot.protocols import Learner as Learner
    from fewshot.reporting.folder import compare as compare
    from fewshot.reporting.folder import plot as plot
    from fewshot.reporting.folder import report as report
    from fewshot.reporting.folder import table as table
    from fewshot.results.frame import read_results as read_results
    from fewshot.runner.benchmark import load_benchmark as load_benchmark
    from fewshot.runner.benchmark import run as run
    from fewshot.runner.cells import Cell as Cell
    from fewshot.runner.conformance.outcomes import check as check
    from fewshot.runner.one_learner import evaluate as evaluate
    from fewshot.runner.one_learner import predict as predict
    from fewshot.runner.one_learner import train as train

__all__ = list(_MODULES)
_IMPORTING = RLock()
"""One thread imports at a time: two could wait for one another's rooms for ever."""


def __getattr__(name: str) -> Any:
    """Return a public name from the module that holds it."""
    if name not in _MODULES:
        raise AttributeError(f"module 'fewshot' has no attribute '{name}'")
    with _IMPORTING:
        value = getattr(import_module(f"fewshot.{_MODULES[name]}"), name)
    globals()[name] = value  # so that it is looked up once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
