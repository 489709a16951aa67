"""Documents name what exists: files, modules, links, commands, keys and their defaults."""

import json
import re
import shlex
from dataclasses import MISSING, fields
from importlib import import_module

import pytest
import typer
from helpers.checkout import NO_GIT, tracked
from helpers.learners import BACKBONES, LEARNERS
from helpers.paths import ROOT
from typer.testing import CliRunner

import fewshot
from fewshot.cli.main import app
from fewshot.harness.recipe import Recipe, Scoring
from fewshot.runner.benchmark import load_benchmark

README = ROOT / "README.md"
PAGES = [ROOT / file for file in sorted(tracked(".")) if file.suffix == ".md"]
GUIDES = [page for page in PAGES if page.parent == ROOT / "docs"] + [
    page for page in PAGES if page.parent == ROOT and page.stem != "CHANGELOG"
]
HISTORY = [page for page in PAGES if page.parent == ROOT / "docs" / "adr"] + [
    page for page in PAGES if page.name == "CHANGELOG.md"
]
needs_git = pytest.mark.skipif(not GUIDES, reason=NO_GIT)
GROUPS = {"fewshot.learners", "fewshot.backbones", "fewshot.datasets"}  # of entry points
UNTRACKED = ("results/trainings", "results/quick")
PAGE = (ROOT / "docs" / "benchmark_files.md").read_text()


def section(title):
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def code(cell):
    return re.findall("`([^`]*)`", cell)


def defaults(rows):
    """Each key of table rows `| keys | defaults | ...` to its default as it is written."""
    found = {}
    for keys, written, *_ in rows:
        values = code(written) or [written]
        found |= dict(zip(code(keys), values, strict=True))
    return found


def rows(title):
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def is_written(value, text):
    """Whether the text stands for a default: as TOML, numbers by value."""
    if value is None:
        return text == "none"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(text) == value
    return json.loads(text) == (list(value) if isinstance(value, tuple) else value)


def own_rows(title, name):
    """The rows of a table by name: an empty first column goes on with the names above."""
    names, found = [], []
    for first, *rest in rows(title):
        names = code(first) or names
        if name in names:
            at = names.index(name)
            keys, written = code(rest[0]), code(rest[1]) or [rest[1]]
            # One key of several learners may have a default for each.
            per_name = len(keys) == 1 and len(written) == len(names) > 1
            found.append([rest[0], f"`{written[at]}`" if per_name else rest[1]])
    return found


@pytest.mark.parametrize(("title", "cls"), [("`recipe`", Recipe), ("`scoring`", Scoring)])
def test_tables_have_the_keys_and_their_defaults(title, cls):
    found = defaults(rows(title))
    assert set(found) == {f.name for f in fields(cls)}
    for f in fields(cls):
        assert is_written(f.default, found[f.name]), f.name


@pytest.mark.parametrize(
    ("title", "name", "config"),
    [
        *(("`learner_options`", name, cls.Config) for name, cls in LEARNERS.items()),
        *(("`backbone_options`", name, cls.Config) for name, cls in BACKBONES.items()),
    ],
)
def test_options_have_their_keys_and_defaults(title, name, config):
    found = defaults(own_rows(title, name))
    assert set(found) == {f.name for f in fields(config)}
    for f in fields(config):
        assert f.default is not MISSING
        if (name, f.name) == ("imaml", "inner_steps"):  # said in words
            assert f"`imaml` {f.default}" in section(title)
        else:
            assert is_written(f.default, found[f.name]), f.name


def test_the_example_is_a_benchmark(tmp_path):
    file = tmp_path / "example.toml"
    file.write_text(re.search("```toml\n(.*?)```", PAGE, re.DOTALL)[1])
    cells = load_benchmark(str(file))
    assert len(cells) == 2 * (3 + 1)
    assert cells[-1].label == "mirrored"


# What documents name ----------------------------------------------------------------------------


def named_paths(text):
    """The files and folders of the repository that a text names; those with a placeholder not."""
    found = re.findall(
        r"(?<![\w/.-])((?:fewshot|tests|benchmarks|results|docs)/[\w./*<>$-]*)", text
    )
    found = {path.rstrip("./") for path in found if not re.search(r"[*<>$]", path)}
    return {path for path in found if not path.startswith(UNTRACKED)}


def named_modules(text):
    """The dotted names of the package that a text names."""
    return set(re.findall(r"(?<![\w./-])fewshot(?:\.[A-Za-z_]\w*)+", text)) - GROUPS


def exists(dotted):
    """Say whether a dotted name is a module or what a module has."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for name in parts[n:]:
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


def links(page):
    """The relative links of a page: file and heading."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            file, _, heading = target.partition("#")
            yield (page.parent / file).resolve() if file else page, heading


def slugs(page):
    """The headings of a page as links name them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page):
    """The `fewshot` commands of a page: in blocks, without what follows a # or >, and in lines."""
    text = page.read_text()
    blocks = re.findall(r"^(?:    |```\w*\n)?\s*fewshot (.*)$", text, re.MULTILINE)
    for command in [*blocks, *re.findall(r"`fewshot ([^`]*)`", text)]:
        yield re.split(r" +[#>] ", " ".join(command.split()))[0].rstrip(",.;")


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_a_guide_names_files_and_modules_that_exist(page):
    text = page.read_text()
    assert [path for path in named_paths(text) if not (ROOT / path).exists()] == []
    assert [name for name in named_modules(text) if not exists(name)] == []


@pytest.mark.parametrize("page", [*GUIDES, *HISTORY], ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target, heading in links(page):
        assert target.exists(), target
        assert not heading or heading in slugs(target), (target, heading)


@needs_git
def test_the_index_leads_to_every_page():
    reached = {target for target, _ in links(ROOT / "docs" / "index.md")}
    assert {*GUIDES, *HISTORY} - reached == {ROOT / "docs" / "index.md"}
    assert ROOT / "docs" / "index.md" in {target for target, _ in links(README)}


def test_a_planted_mistake_is_found():
    text = "`fewshot/no_such.py`, `fewshot.errors.No`, fewshot.errors.UserError, fewshot/files.py"
    assert [path for path in named_paths(text) if not (ROOT / path).exists()] == [
        "fewshot/no_such.py"
    ]
    assert [name for name in named_modules(text) if not exists(name)] == ["fewshot.errors.No"]


# Commands ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_commands_and_their_options_exist(page):
    for line in commands(page):
        command = typer.main.get_command(app)
        words = re.findall(r"[\w./=-]+", line)
        while words and getattr(command, "commands", None):
            command = command.commands.get(words.pop(0))
            assert command, line
        known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
        assert {word.split("=")[0] for word in words if word.startswith("--")} <= known, line


def quick_commands():
    """The commands of the guides that read committed results, and end in seconds."""
    pages = [page for page in GUIDES if page.stem != "adding_a_learner"]  # needs its own learner
    found = {line for page in pages for line in commands(page)}
    quick = r"(table|compare|plot) results/\w+( |$)|list \w+$"
    return sorted(line for line in found if re.match(quick, line) and not re.search("[|$]", line))


@pytest.mark.parametrize("line", quick_commands())
def test_commands_that_read_results_work(line, committed_results, monkeypatch):
    monkeypatch.chdir(committed_results.parent)
    done = CliRunner().invoke(app, shlex.split(line))
    assert done.exit_code == 0, done.exception
    assert done.stdout


@needs_git
def test_the_readme_shows_a_short_table_that_its_command_prints(committed_results, monkeypatch):
    monkeypatch.chdir(committed_results.parent)
    line = next(line for line in commands(README) if "--format md" in line)
    printed = CliRunner().invoke(app, shlex.split(line)).stdout
    table, notes = printed.strip().split("\n\n")
    assert table in README.read_text()
    assert len(table.splitlines()) <= 2 + 10
    # The words below the table in the README are those of its notes.
    assert "± half-width of the 95 % interval over test episodes" in notes
    assert "2,000 episodes" in notes
    for letter, torch in (("A", "2.14.1"), ("B", "2.15.0")):
        assert f"{letter}: AMD EPYC, 2 threads on 2 cores, torch {torch}, bf16" in notes
        assert f"{letter}: torch {torch}" in README.read_text()


@needs_git
def test_the_readme_begins_with_two_commands():
    blocks = re.findall(r"```\n(.*?)\n```", README.read_text(), re.DOTALL)
    install = "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]'"
    assert blocks[:2] == [f"{install} && .venv/bin/fewshot run quick", ".venv/bin/tox"]
    assert len(README.read_text().splitlines()) <= 120


# Releases ---------------------------------------------------------------------------------------


@needs_git
def test_changelog_and_citation_name_this_version():
    version = re.escape(fewshot.__version__)
    assert re.search(rf"^version: {version}$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    dated = re.search(rf"^## {version} - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert dated
    assert f'date-released: "{dated[1]}"' in (ROOT / "CITATION.cff").read_text()


@needs_git
def test_pre_commit_runs_what_tox_calls_lint():
    tox = (ROOT / "tox.ini").read_text()
    lint = re.search(r"\[testenv:lint\].*?commands =\n(.*?)\n\n", tox, re.DOTALL)[1]
    folders = r"( (\.|fewshot|tests|benchmarks))*$"
    wanted = [re.sub(folders, "", line.strip()) for line in lint.splitlines()]
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    entries = re.findall(r"entry: (.*)", hooks)
    assert [entry.replace(" --force-exclude", "") for entry in entries] == wanted
    assert hooks.count("language: system") == len(entries)
