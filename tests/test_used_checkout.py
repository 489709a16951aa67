"""A test of the tests: they pass in a checkout that has been used, and without git.

The README's second command must hold after its first, and after whatever else a user does here.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from helpers.checkout import NO_GIT, tracked
from helpers.paths import ROOT
from helpers.tiny import write_tiny

WORDS = (
    "helpers.paths",
    "helpers.checkout",
    "committed_results",
    "shipped_benchmarks",
    "FEWSHOT_DATA",
)
"""Tests that read in the checkout or look at the environment have one of these in their text."""
RESULTS = ("results/quick", "results/trainings/quick", "results/diverged", "results/mine/again")
PAGES = ("results/foo.md", "results/a.b.compare.md", "results/quick.md", "docs/mine.md", "NOTES.md")
FILES = (
    *("report.html", "figures/pareto.svg", "docs/figures/mine.svg", "fewshot.egg-info/PKG-INFO"),
    *("results/cifar_fs/.a.lock", "results/.mine.tmp/x", ".coverage", "dist/fewshot-0.tar.gz"),
)
BROKEN = (
    *(".venv/lib/python3/site-packages/fewshot/test_mine.py", "build/lib/fewshot/__init__.py"),
    *("fewshot/__pycache__/test_old.py", "tests/__pycache__/test_old.py", ".tox/py311/test_x.py"),
)
ENVIRONMENT = {
    **{"NO_COLOR": "1", "FORCE_COLOR": "3", "COLUMNS": "31", "LINES": "7", "TERM": "dumb"},
    **{"GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere/index", "GITHUB_ACTIONS": "true"},
    **{"FEWSHOT_ANYTHING": "1", "MPLBACKEND": "svg", "LC_ALL": "C", "TZ": "Asia/Kathmandu"},
}

pytestmark = pytest.mark.slow


@pytest.fixture
def checkout(tmp_path):
    """What is committed here, in a repository of its own."""
    copy(tracked("."), tmp_path / "checkout")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        who = ["-c", "user.name=A", "-c", "user.email=a@b.invalid", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *command], cwd=tmp_path / "checkout", check=True)
    return tmp_path / "checkout"


def copy(files, folder):
    if not files:
        pytest.skip(NO_GIT)
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, folder / file)


def use(checkout):
    """Leave there what users leave: results, pages, figures, environments, caches, a benchmark."""
    cells = sorted((checkout / "results" / "fc100").iterdir())
    for folder in RESULTS:
        shutil.copytree(cells[0], checkout / folder / cells[0].name)
    for benchmark in ("cifar_fs", "fc100", "mini_imagenet", "speedrun"):  # a cell that is damaged
        another = checkout / "results" / benchmark / "another-cell"
        shutil.copytree(cells[0], another)
        (another / "run.json").write_text("{")
    for name in (*PAGES, *FILES, *BROKEN):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("raise SystemExit('not a test')\n" if name in BROKEN else "x")
    benchmark = (checkout / "benchmarks" / "fc100.toml").read_text()
    (checkout / "benchmarks" / "mine.toml").write_text("\n" + benchmark)
    (checkout / "shared").mkdir()


def run_readers(folder, home):
    """Run every test file that reads in the checkout, in another user's environment."""
    files = [
        str(file.relative_to(folder))
        for file in sorted((folder / "tests").rglob("test_*.py"))
        if "__pycache__" not in file.parts and file.name != Path(__file__).name
        if any(word in file.read_text() for word in WORDS)
    ]
    assert len(files) > 5
    for data in (home / "data", home / "cache" / "fewshot" / "data"):
        for name in ("tiny", "cifar-fs", "glyphs", "birds"):  # of other content than their names
            shutil.copytree(write_tiny(home / "made") / "tiny", data / name)
    places = {"FEWSHOT_DATA": home / "data", "XDG_CACHE_HOME": home / "cache", "HOME": home}
    inherited = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        cwd=folder,
        env=inherited
        | ENVIRONMENT
        | {k: str(v) for k, v in places.items()}
        | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )


def test_tests_pass_in_a_checkout_that_has_been_used(checkout, tmp_path):
    use(checkout)
    done = run_readers(checkout, tmp_path / "home")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    assert NO_GIT not in done.stdout


def test_tests_pass_or_say_that_they_need_git_in_a_source_distribution(tmp_path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    files = [file for name in included for file in tracked(name.lstrip("/"))]
    copy([*files, Path("pyproject.toml")], tmp_path / "sdist")
    done = run_readers(tmp_path / "sdist", tmp_path / "home")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    assert NO_GIT in done.stdout
