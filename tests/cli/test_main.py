"""Commands: results on standard output, all else on standard error, mistakes in one line."""

import subprocess
import sys

import pytest
from helpers.checkout import shipped
from helpers.commands import is_one_line_of_error
from helpers.learners import BACKBONES, LEARNERS
from helpers.paths import ROOT

from fewshot import __version__
from fewshot.data.catalogue import DATASETS
from fewshot.runner.benchmark_file import shipped_benchmarks


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("learners", LEARNERS),
        ("backbones", BACKBONES),
        ("datasets", DATASETS),
        ("benchmarks", shipped_benchmarks()),
    ],
)
def test_list_prints_the_name_first_and_a_line_on_each(fewshot, kind, names):
    code, out, err = fewshot("list", kind)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == list(names)
    own = shipped(names) if kind == "benchmarks" else names
    assert all(len(line.split()) > 2 for line in lines if line.split()[0] in own)


def test_version_is_printed(fewshot):
    assert fewshot("--version") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["run", "cifar_sf"], "unknown benchmark 'cifar_sf': did you mean 'cifar_fs'?"),
        (["run", "cifar_fs", "--learner", "protonte"], "unknown learner 'protonte': did you mean"),
        (["run", "missing.toml"], "missing.toml: cannot be read"),
        (["run", "cifar_fs", "--set", "recipe.stepz=3"], "did you mean 'steps'?"),
        (["run", "cifar_fs", "--set", "recipe.lr=fast"], "recipe.lr"),
        (["run", "cifar_fs", "--set", "recipe"], "expected key=value"),
        (["run", "cifar_fs"], "cifar-fs (`fewshot data fetch cifar-fs`)"),
        (["run", "paper"], "tiered-imagenet (`fewshot data fetch tiered-imagenet`)"),
        (["run", "quick", "--set", "scoring.dataset=cifar-sf"], "did you mean 'cifar-fs'?"),
        (["run", "cifar_fs", "--set", "learner=mlt"], "did you mean 'mtl'?"),
        (["run", "cifar_fs", "--set", "scoring=3"], "scoring"),
        (["run", "cifar_fs", "--set", "recipe=1", "--set", "recipe.lr=0.1"], "recipe"),
        (["data", "info", "cifar-sf"], "unknown data set 'cifar-sf': did you mean 'cifar-fs'?"),
        (["data", "fetch", "glyhps"], "did you mean 'glyphs'?"),
        (["data", "verify", "minimagenet"], "did you mean 'mini-imagenet'?"),
        (["data", "info", "cifar-fs"], "fewshot data import cifar-fs"),
        (["episodes", "cifar-sf"], "unknown data set 'cifar-sf': did you mean 'cifar-fs'?"),
        (["episodes", "cifar-fs"], "fewshot data import cifar-fs"),
        (["table", "."], "no finished cells in ."),
        (["compare", "."], "no finished cells in ."),
        (["compare", ".", "mtl"], "name two rows, or none"),
        (["check", "protonte"], "unknown learner 'protonte': did you mean"),
        (["check", "mine.py:Mine"], "mine.py: no such file"),
        (["check", "protonet", "--set", "scael=1"], "did you mean 'scale'?"),
        (["run", "cifar_fs", "--learner", "mine.py:Mine"], "mine.py: no such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_with_a_hint(fewshot, tmp_path, monkeypatch, arguments, hint):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEWSHOT_DATA", str(tmp_path / "data"))
    outcome = fewshot(*arguments)
    assert is_one_line_of_error(outcome)
    assert hint in outcome[2]
    assert list(tmp_path.iterdir()) == []


def test_a_check_prints_its_table_and_fails_with_exit_code_1(fewshot, tmp_path):
    code, out, err = fewshot("check", "pixels")
    assert (code, "failed" in out) == (0, False)
    assert "support order" in err
    file = tmp_path / "constant.py"
    file.write_text(
        "from fewshot.learners.protonet import ProtoNet\n\n\n"
        "class Constant(ProtoNet):\n"
        "    def predict_features(self, state, query_z_TQD):\n"
        "        return 0 * super().predict_features(state, query_z_TQD)\n"
    )
    code, out, _ = fewshot("check", f"{file}:Constant")
    assert (code, "constant logits" in out) == (1, True)


def test_defaults_in_help_are_not_taken_for_markup(fewshot):
    for command, words in (("run", "[all cores]"), ("table", "[the last score]")):
        assert words in " ".join(fewshot(command, "--help")[1].split())


HEAVY = ["torch", "torchvision", "pandas", "pyarrow", "scipy", "matplotlib", "plotly"]


@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        (None, ["typer", "numpy", "pydantic"]),
        (["--help"], ["rich", "numpy", "pydantic", "tqdm"]),
        (["--version"], ["rich", "numpy", "tqdm"]),
        (["list", "learners"], ["numpy", "tqdm"]),
        (["list", "backbones"], ["numpy", "tqdm"]),
        (["list", "benchmarks"], []),
        (["list", "datasets"], []),
    ],
    ids=str,
)
def test_what_answers_at_once_imports_nothing_heavy(arguments, more):
    """In a process of its own; `import fewshot` alone for no arguments."""
    command = f"sys.argv = ['fewshot', *{arguments}]; from fewshot.cli.main import main; main()"
    script = (
        "import atexit, sys\n"
        f"heavy = {[*HEAVY, *more]}\n"
        "atexit.register(lambda: print('heavy:', [m for m in heavy if m in sys.modules]))\n"
        f"{command if arguments else 'import fewshot'}"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.endswith("heavy: []\n")


def test_the_installed_command_ends_with_code_2_and_one_line_without_torch(tmp_path):
    """In a process of its own, where importing torch is an error."""
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')\n")
    command = [sys.executable, "-m", "fewshot.cli", "table", str(tmp_path)]
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert is_one_line_of_error((done.returncode, done.stdout, done.stderr))
    assert f"no finished cells in {tmp_path}" in done.stderr
