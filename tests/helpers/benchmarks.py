"""The text of a benchmark of made-up learners and backbones."""

from dataclasses import dataclass

from fewshot.options import option
from fewshot.runner.benchmark_file import OptionClasses, parse_benchmark
from fewshot.runner.cells import Cell


@dataclass(frozen=True)
class LearnerConfig:
    c: float = 1.0
    deep: bool = False
    wide: bool = option(False, added_later=True)
    head: int = option(1, added_later=True, test_only=True)


@dataclass(frozen=True)
class BackboneConfig:
    filters: int = 64


OPTIONS = OptionClasses({"mine": LearnerConfig}, {"net": BackboneConfig})


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
    return parse_benchmark("bench", text, OPTIONS, settings)
