"""The text of a benchmark of made-up learners and backbones."""

from dataclasses import dataclass

from fewshot.options import option
from fewshot.runner.benchmark_file import parse_benchmark, parse_document
from fewshot.runner.cells import Cell
from fewshot.runner.settings import parse_settings


@dataclass(frozen=True)
class LearnerConfig:
    c: float = 1.0
    deep: bool = False
    wide: bool = option(False, added_later=True)
    head: int = option(1, added_later=True, test_only=True)


@dataclass(frozen=True)
class BackboneConfig:
    filters: int = 64


CONFIGS = {"learner": {"mine": LearnerConfig}, "backbone": {"net": BackboneConfig}}


TEXT = """
[defaults]
dataset = "made"
backbone = "net"
[defaults.scoring]
n_shot = [1, 5]
[defaults.recipe]
steps = 10
[[training]]
learner = "mine"
seeds = [0, 1]
learner_options = { c = 2 }
"""


def load(text: str = TEXT, *settings: str) -> list[Cell]:
    document = parse_document("bench", text)
    return parse_benchmark("bench", document, CONFIGS, parse_settings(settings))
