"""Trainings and cells: frozen configurations with stable ids."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from fewshot.harness.recipe import Recipe, Scoring
from fewshot.options import short_hash

Origins = Mapping[str, str]


@dataclass(frozen=True)
class Training:
    """One training: `learner_options` and `backbone_options` are the frozen `Config` values."""

    dataset: str
    backbone: str
    backbone_options: Any
    learner: str
    learner_options: Any
    recipe: Recipe
    seed: int

    @property
    def id(self) -> str:
        """Return a readable name with a hash of the configuration, without test-only options."""
        digest = short_hash(self.without_test_options)
        return f"{self.dataset}-{self.backbone}-{self.learner}-s{self.seed}-{digest}"

    @property
    def without_test_options(self) -> "Training":
        """Return the same with test-only options at their defaults, as every training validates."""
        defaults = {
            f.name: f.default for f in fields(self.learner_options) if f.metadata.get("test_only")
        }
        return replace(self, learner_options=replace(self.learner_options, **defaults))


@dataclass(frozen=True)
class Cell:
    """A training scored at one episode shape."""

    benchmark: str
    training: Training
    scoring: Scoring
    label: str = field(default="", compare=False)
    """Words that tell its table row from others of the same learner and backbone."""
    target: float | None = field(default=None, compare=False)
    """The validation accuracy (0..1) to which tables give the time; it changes no training."""
    origins: Origins = field(default_factory=dict, compare=False)
    """The source of each configuration key's value: default, the file, --set."""

    @property
    def scored_on(self) -> str:
        """Return the data set whose test classes are scored."""
        return self.scoring.dataset or self.training.dataset

    @property
    def is_cross_domain(self) -> bool:
        """Say whether it is scored on another data set than it was trained on."""
        return self.scored_on != self.training.dataset

    @property
    def id(self) -> str:
        """Return `<dataset>-<backbone>-<learner>-<n>w<k>s-s<seed>-<hash>`.

        Where it is scored on another data set: `<dataset>-to-<data set scored on>-...`.
        """
        t, s = self.training, self.scoring
        digest = short_hash((t, s))
        data = f"{t.dataset}-to-{s.dataset}" if self.is_cross_domain else t.dataset
        return f"{data}-{t.backbone}-{t.learner}-{s.n_way}w{s.n_shot}s-s{t.seed}-{digest}"

    def resolved(self) -> dict[str, Any]:
        """Return the whole configuration as plain values, as JSON gives them back."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        del values["origins"]
        return values
