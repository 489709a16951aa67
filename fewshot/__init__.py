"""Few-shot learners, one harness: which gives what accuracy at what wall-clock cost.

>>> import fewshot
>>> episode = fewshot.draw_episode(fewshot.open_split("glyphs"), fewshot.EpisodeShape(5, 1, 15))
>>> episode.support_x_SCHW.shape
torch.Size([5, 3, 32, 32])

Every name is loaded when it is first used; those that read data and results need no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    # Benchmarks
    "run": "fewshot.runner.benchmark:run",
    "load_benchmark": "fewshot.runner.benchmark:load_benchmark",
    "list_learners": "fewshot.learners.registry:list_learners",
    "list_backbones": "fewshot.backbones.registry:list_backbones",
    "list_datasets": "fewshot.data.catalogue:list_datasets",
    # One learner
    "check": "fewshot.runner.conformance.outcomes:check",
    "train": "fewshot.runner.one_learner:train",
    "evaluate": "fewshot.runner.one_learner:evaluate",
    "predict": "fewshot.runner.one_learner:predict",
    # Images
    "open_split": "fewshot.data:open_split",
    "draw_episode": "fewshot.episodes.tensors:draw_episode",
    # Results
    "read_results": "fewshot.results.frame:read_results",
    "table": "fewshot.reporting.folder:table",
    "compare": "fewshot.reporting.folder:compare",
    "plot": "fewshot.reporting.folder:plot",
    "report": "fewshot.reporting.folder:report",
    # Contracts
    "Learner": "fewshot.protocols:Learner",
    "FeatureLearner": "fewshot.protocols:FeatureLearner",
    "Backbone": "fewshot.protocols:Backbone",
    "EpisodeBatch": "fewshot.protocols:EpisodeBatch",
    "ImageBatch": "fewshot.protocols:ImageBatch",
    "option": "fewshot.options:option",
    # Values
    "EpisodeShape": "fewshot.episodes.sampling:EpisodeShape",
    "Episode": "fewshot.episodes.sampling:Episode",
    "Recipe": "fewshot.harness.recipe:Recipe",
    "Scoring": "fewshot.harness.recipe:Scoring",
    "Cell": "fewshot.runner.cells:Cell",
    "UserError": "fewshot.errors:UserError",
}
"""The public name -> where it is: `module:attribute`."""

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

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Return a public name from the module that holds it."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'fewshot' has no attribute '{name}'")
    module, _, attribute = _PUBLIC[name].partition(":")
    value = getattr(import_module(module), attribute)
    globals()[name] = value  # so that it is looked up once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
