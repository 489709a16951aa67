"""The house rules hold in the package, and each of them fails on a planted breach."""

import pytest
from helpers.house_rules import LAYERS, RULES, TORCHLESS
from helpers.paths import ROOT

LINES = "\n".join(f"a_{i} = b_{i} + c_{i}" for i in range(6)) + "\n"
SEEDED = 'import numpy as np\n\n\ndef f():\n    """Return."""\n    {}\n'
OPENED = 'def f(data):\n    """Return."""\n    return {}\n'
CONTRACTS = """[[tool.importlinter.contracts]]
type = "layers"
exhaustive = {exhaustive}
containers = ["fewshot"]
layers = {layers}

[[tool.importlinter.contracts]]
type = "forbidden"
source_modules = {torchless}
forbidden_modules = ["torch"]
"""


def contracts(layers=LAYERS, exhaustive="true", torchless=TORCHLESS):
    names = [f"fewshot.{name}" for name in torchless]
    return {
        "pyproject.toml": CONTRACTS.format(
            layers=list(layers), exhaustive=exhaustive, torchless=names
        )
    }


def code(text, path="fewshot/heads/a.py"):
    return {path: text}


GOOD = {
    "pyproject.toml": contracts()["pyproject.toml"],
    "README.md": "A learner on a backbone; multi-task learning has tasks.\n",
    "docs/a.md": "An episode has a support.\n",
    "fewshot/__init__.py": '"""Few-shot learners."""\n',
    "fewshot/errors.py": '"""Errors of users."""\n',
    "fewshot/heads/__init__.py": '"""Heads: features to logits."""\n',
    "fewshot/heads/a.py": f'"""A head."""\n\nimport torch\n\nindex = torch.Generator()\n{LINES}',
    "fewshot/runner/run.py": 'from data import open_source\n\nSOURCE = open_source("a", "test")\n',
    "fewshot/runner/build.py": "import torch\n\ntorch.manual_seed(0)\n",
    "fewshot/harness/evaluate.py": "def evaluate(query_y_TQ):\n    return query_y_TQ\n",
    **dict.fromkeys(
        ("tests/test_errors.py", "tests/heads/test_a.py", "tests/runner/test_run.py"), "import a\n"
    ),
    **dict.fromkeys(
        ("tests/runner/test_build.py", "tests/harness/test_evaluate.py", "tests/helpers/b.py"), ""
    ),
}
"""A house that keeps every rule."""

BREACHES = [
    ("long_files", code("a = 1\n" * 301), ":1: 301 lines"),
    ("long_functions", code("def f():\n" + "    g()\n" * 60), ":1: f has 61 lines"),
    (
        "words_of_names",
        code("def encoder():\n    return 1\n"),
        ":1: the name encoder: say backbone",
    ),
    ("words_of_names", code("class MyExperiment:\n    pass\n"), "MyExperiment: say benchmark"),
    ("words_of_names", code("def f(*, phase):\n    return 1\n"), "phase: say split"),
    ("words_of_names", code("for task in f():\n    pass\n"), "task: say episode"),
    ("words_of_names", code("class A:\n    mode: str\n"), "mode: say split"),
    ("words_of_names", code("fast_weights = 1\n"), "fast_weights: say inner"),
    ("words_of_names", code("a.best_model = 1\n"), "best_model: say learner"),
    ("words_of_names", code("import a as method\n"), "method: say learner"),
    ("words_of_names", code("rows_I = 1\n"), "rows_I: say index"),
    ("words_of_names", code("rows_TM = 1\n", "fewshot/results/a.py"), "rows_TM: say image index"),
    ("words_of_names", code("episode_rows = 1\n", "fewshot/results/a.py"), "say episode scores"),
    ("words_of_names", code("place = 1\n", "fewshot/runner/run.py"), "place: say workspace"),
    ("words_of_texts", code("# The encoder.\n"), ":1: 'encoder': say backbone"),
    ("words_of_texts", code('"""A head.\n\nIt has a test phase.\n"""\n'), ":3: 'test phase'"),
    ("words_of_texts", {"docs/a.md": "Good.\n\nOne task of 5 ways.\n"}, "docs/a.md:3: 'task'"),
    ("words_of_texts", {"README.md": "The experiments show it.\n"}, "README.md:1: 'experiments'"),
    ("words_of_texts", {"docs/a.md": "A row an episode.\n"}, "say an episode score"),
    ("words_of_texts", {"docs/a.md": "Few-shot models and fast weights.\n"}, "'fast weights'"),
    ("docstrings", code('"""Of that, what is left."""\n'), "begins with 'Of'"),
    ("docstrings", code('def _f():\n    """Whether it is."""\n'), ":2: the docstring 'Whether it"),
    ("docstrings", code('A = 1\n"""What there is."""\n'), ":2: the docstring 'What there is.'"),
    ("docstrings", code('"""the head."""\n'), "begins with neither a capital nor code"),
    ("docstrings", code('"""The head\n\nof all."""\n'), "ends without punctuation"),
    ("seeding", code("import torch\n\ntorch.manual_seed(0)\n"), ":3: torch.manual_seed seeds"),
    ("seeding", code(SEEDED.format("np.random.seed(1)")), ":6: numpy.random.seed seeds"),
    ("seeding", code("from random import seed as plant\n\nplant(1)\n"), "random.seed seeds"),
    ("seeding", code("from torch import cuda\n\ncuda.manual_seed_all(1)\n"), "manual_seed_all"),
    ("test_split", code(OPENED.format('open_source("a", "test")')), ":3: opens the test split"),
    ("test_split", code(OPENED.format('data.open(split="test")')), ":3: opens the test split"),
    ("test_split", code(OPENED.format('data["test"]')), ":3: opens the test split"),
    ("test_split", code(OPENED.format("data(Split.test)")), ":3: opens the test split"),
    ("query_labels", code("a = query_y_TQ\n", "fewshot/harness/train.py"), "(query_y_TQ)"),
    (
        "query_labels",
        code("a = b.query_y_TQ\n", "fewshot/backbones/a.py"),
        ":1: holds query labels",
    ),
    ("query_labels", code("f(query_y=1)\n", "fewshot/runner/run.py"), ":1: holds query labels"),
    ("flat_modules", code("", "fewshot/plan.py"), "fewshot/plan.py:1: lies flat"),
    ("room_inits", code('"""A."""\n\nimport torch\n', "fewshot/heads/__init__.py"), ":3: a room's"),
    ("room_inits", code("A = 1\n", "fewshot/heads/__init__.py"), ":1: a room's __init__"),
    ("mirrored_tests", code("", "fewshot/heads/b.py"), "write tests/heads/test_b.py"),
    (
        "mirrored_tests",
        code("", "tests/heads/test_b.py"),
        "tests/heads/test_b.py:1: tests no module",
    ),
    ("repeated_lines", code(f"import a\n{LINES}", "fewshot/heads/b.py"), "a.py:6: 6 lines stand"),
    (
        "repeated_lines",
        code(LINES.replace(" + ", "+").replace("\n", "  # why\n\n"), "fewshot/heads/b.py"),
        "again at fewshot/heads/b.py:1",
    ),
    ("layers", contracts(LAYERS[1:]), "the layers differ from the design's seven"),
    ("layers", contracts(("cli | runner", *LAYERS[1:])), "the layers differ"),
    ("layers", contracts(exhaustive="false"), "not exhaustive"),
    ("layers", contracts(torchless=TORCHLESS[1:]), "fewshot.data may reach torch"),
    ("stale_exceptions", {}, "fewshot/data/untrusted/** is of no file"),
]
by_name = {rule.__name__: rule for rule in RULES}


def build(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule):
    found = rule(ROOT)
    assert not found, f"{rule.__doc__}\n" + "\n".join(found)


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.__name__ != "stale_exceptions"])
def test_a_house_that_keeps_the_rules_has_no_breach(rule, tmp_path):
    assert rule(build(tmp_path, GOOD)) == []


@pytest.mark.parametrize(("name", "files", "message"), BREACHES)
def test_a_planted_breach_is_found(name, files, message, tmp_path):
    found = by_name[name](build(tmp_path, GOOD | files))
    assert [line for line in found if message in line], found
    if files:
        assert all(line.startswith(tuple(files)) or "stand again" in line for line in found)


def test_every_rule_has_a_planted_breach():
    assert {name for name, *_ in BREACHES} == by_name.keys()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("fewshot/learners/mtl.py", "tasks = 1  # a task is a group of classes\n"),
        ("fewshot/reporting/a.py", "row = table_rows = 1  # a row of the table\n"),
        ("fewshot/heads/a.py", '"""MTL is multi-task learning: a head for each task."""\n'),
        ("fewshot/heads/a.py", "import torch\n\ng = torch.Generator().manual_seed(0)\n"),
        ("fewshot/heads/a.py", 'if split == "test":\n    SPLITS = ("train", "test")\n'),
        ("fewshot/heads/a.py", "a = [\n    1,\n    2,\n    3,\n]\n"),
    ],
)
def test_what_only_looks_like_a_breach_is_none(path, text, tmp_path):
    house = build(tmp_path, GOOD | {path: text})
    rules = [r for r in RULES if r.__name__ not in ("stale_exceptions", "mirrored_tests")]
    assert [line for rule in rules for line in rule(house)] == []


def test_a_longer_repetition_is_told_of_once(tmp_path):
    lines = LINES + LINES.replace("a_", "d_")
    files = {"fewshot/heads/a.py": lines, "fewshot/heads/b.py": lines}
    assert len(by_name["repeated_lines"](build(tmp_path, files))) == 1
