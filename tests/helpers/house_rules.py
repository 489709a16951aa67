"""The house rules, each a pure function of a folder that is laid out as this checkout.

A rule gives a message for each breach: file and line, what is wrong and what to do. Where a rule
has exceptions, they stand beside it, each with its reason; `stale_exceptions` finds those of files
that are gone.
"""

import ast
import io
import re
import sys
import tokenize
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from helpers.vocabulary import NAMES, TEXTS, Ban

MOST_LINES, MOST_OF_FUNCTION, SAME_LINES = 300, 60, 6


class Module(NamedTuple):
    """A module: its path from the folder's root, its text and its syntax tree."""

    path: str
    text: str
    tree: ast.Module


def modules(root: Path, folder: str = "fewshot") -> list[Module]:
    """Return the modules below a folder of the root, in order."""
    files = sorted(f for f in (root / folder).rglob("*.py") if "__pycache__" not in f.parts)
    return [Module(f.relative_to(root).as_posix(), *_parsed(f.read_text())) for f in files]


@cache
def _parsed(text: str) -> tuple[str, ast.Module]:
    return text, ast.parse(text)


# Sizes -------------------------------------------------------------------------------------------


def long_files(root: Path) -> list[str]:
    """A file has at most 300 lines."""
    sizes = [(m.path, len(m.text.splitlines())) for m in modules(root)]
    return [
        f"{path}:1: {n} lines, {MOST_LINES} at most: split the file by what its parts know"
        for path, n in sizes
        if n > MOST_LINES
    ]


def long_functions(root: Path) -> list[str]:
    """A function has at most 60 lines, its docstring included."""
    return [
        f"{m.path}:{node.lineno}: {node.name} has {n} lines, {MOST_OF_FUNCTION} at most: "
        "give its steps names"
        for m in modules(root)
        for node in ast.walk(m.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (n := (node.end_lineno or 0) - node.lineno + 1) > MOST_OF_FUNCTION
    ]


# Words -------------------------------------------------------------------------------------------


def words_of_names(root: Path) -> list[str]:
    """A name made in code has none of the words that stand for something under another name."""
    found = {
        (m.path, line, name): ban
        for m in modules(root)
        for name, line in _names_made(m.tree)
        for ban in NAMES
        if _is_banned(ban, m.path, _as_words(name), _as_words(name))
    }
    return [
        f"{path}:{line}: the name {name}: say {ban.instead}"
        for (path, line, name), ban in sorted(found.items(), key=lambda item: item[0])
    ]


def words_of_texts(root: Path) -> list[str]:
    """A docstring, comment or document says things by the words of the vocabulary."""
    return [
        f"{path}:{number}: {match[0]!r}: say {ban.instead}"
        for path, number, line in _prose(root)
        for ban in TEXTS
        if (match := re.search(ban.word, line)) and _is_banned(ban, path, line, line)
    ]


def _is_banned(ban: Ban, path: str, text: str, whole: str) -> bool:
    if not (_lies_in(path, ban.files) and re.search(ban.word, text)):
        return False
    return not any(_lies_in(path, a.files) and re.search(a.match, whole) for a in ban.allowed)


@cache
def _lies_in(path: str, pattern: str) -> bool:
    """Say whether a path matches `**`, `folder/**`, `folder/@(a|b)/**` or a file's own path."""
    regex = re.escape(pattern).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    regex = re.sub(r"@\\\((.*?)\\\)", lambda m: f"({m[1]})".replace(r"\|", "|"), regex)
    return re.fullmatch(regex, path) is not None


def _as_words(name: str) -> str:
    """Return a name as lower-case words between underscores; axes are words of their own."""
    parts = re.findall(r"[A-Z]?[a-z]+[0-9]*|[A-Z]|[0-9]+", name)
    if name.isupper():
        parts = re.findall(r"[A-Z0-9]+", name)
    return f"_{'_'.join(parts)}_".lower()


def _names_made(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the names that a module gives: definitions, arguments, variables, attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.arg():
                yield node.arg, node.lineno
            case ast.Name(ctx=ast.Store()):
                yield node.id, node.lineno
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr, node.lineno
            case ast.alias(asname=str(name)):
                yield name, node.lineno


def _prose(root: Path) -> Iterator[tuple[str, int, str]]:
    """Yield path, number and text of every line of docstrings, comments and documents."""
    for module in modules(root):
        for start, text in chain(_docstrings(module.tree), _comments(module.text)):
            for number, line in enumerate(text.splitlines(), start):
                yield module.path, number, line
    pages = [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").glob("*.md"))]
    for page in (page for page in pages if page.is_file()):
        for number, line in enumerate(page.read_text().splitlines(), 1):
            yield page.relative_to(root).as_posix(), number, line


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and text of every string that stands alone: docstrings, and those of constants."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield node.lineno, text


def _comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


HEADLESS = {
    *("And", "As", "But", "By", "From", "In", "Its", "Of", "Or", "So", "That", "Their", "Those"),
    *("What", "Where", "Whether", "Which"),
}
"""A docstring that begins with one of these leans on its neighbours."""

PROPER_NAMES = ("miniImageNet", "tieredImageNet")


def docstrings(root: Path) -> list[str]:
    """A docstring is a whole sentence: a capital or code first, punctuation last, its own noun."""
    return [
        f"{m.path}:{line}: the docstring {text.splitlines()[0][:50]!r} {fault}"
        for m in modules(root)
        for line, text in _docstrings(m.tree)
        if text.strip() and (fault := _fault_of(text.strip()))
    ]


def _fault_of(text: str) -> str | None:
    first = re.split(r"\n\s*\n|\n\s*>>>", text)[0].strip()
    word = re.match(r"[\w']*", first)[0]
    if word in HEADLESS:
        return f"begins with {word!r}: write a sentence with a noun of its own ('Return the ...')"
    if not (
        first[0].isupper()
        or first.startswith(PROPER_NAMES)
        or first[0].isdigit()
        or first[0] in "`\"'("
    ):
        return "begins with neither a capital nor code: write a sentence"
    if not re.search(r"[.!?:][\"'`)]*$", first):
        return "ends without punctuation: write a sentence"
    return None


# Who may -----------------------------------------------------------------------------------------

SEEDS = {
    *("torch.manual_seed", "torch.seed", "torch.random.manual_seed", "torch.random.seed"),
    *("torch.cuda.manual_seed", "torch.cuda.manual_seed_all", "torch.cuda.seed"),
    *("torch.cuda.seed_all", "numpy.random.seed", "random.seed"),
}
MAY_SEED = {
    "fewshot/runner/build.py": "a training's seed decides its initial weights",
    "fewshot/runner/conformance/**": "checks repeat",
}


def seeding(root: Path) -> list[str]:
    """A global stream of random numbers is seeded where a training or a check is built."""
    return [
        f"{m.path}:{line}: {name} seeds a global stream: take a generator or a seed instead"
        for m in modules(root)
        if not _is_allowed(m.path, MAY_SEED)
        for line, name in _calls(m.tree)
        if name in SEEDS
    ]


MAY_OPEN_TEST = {
    "fewshot/runner/run.py": "it scores the test episodes",
    "fewshot/runner/validate.py": "it asks for names and sizes before anything is trained",
    "fewshot/runner/dry_run/**": "it counts operations, and opens no images",
    "fewshot/runner/conformance/**": "its data are glyphs, drawn for the checks",
    "fewshot/reporting/**": "it shows episodes after their scores stand",
}


def test_split(root: Path) -> list[str]:
    """The test split is opened to score it, and after that to show it; nowhere else."""
    return [
        f"{m.path}:{line}: opens the test split: choices are made on validation classes"
        for m in modules(root)
        if not _is_allowed(m.path, MAY_OPEN_TEST)
        for line in _test_splits(m.tree)
    ]


def _test_splits(tree: ast.Module) -> Iterator[int]:
    """Yield the lines on which a call is handed "test", or something is looked up by it."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(args=args, keywords=keywords):
                values = [*args, *(k.value for k in keywords)]
                if any(_is_test(value) for value in values):
                    yield node.lineno
            case ast.Subscript(slice=index) if _is_test(index):
                yield node.lineno


def _is_test(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value="test"):
            return True
        case ast.Attribute(value=ast.Name(id="Split"), attr=name):
            return name.lower() == "test"
    return False


MAY_HOLD_LABELS = {
    "fewshot/episodes/**": "it draws them",
    "fewshot/harness/evaluate.py": "it scores by them, and hands learners images alone",
    "fewshot/harness/views.py": "what evaluate hands a learner is made here",
    "fewshot/protocols.py": "the batches that a learner trains on hold theirs",
    "fewshot/learners/**": "training losses: the labels are those of training classes",
    "fewshot/runner/conformance/**": "checks make episodes of their own",
    "fewshot/reporting/html/answers.py": "it shows answers after their scores stand",
    "fewshot/reporting/episode_picture.py": "it draws an episode, learners apart",
}


def query_labels(root: Path) -> list[str]:
    """The labels of query images stay with who draws, scores or, afterwards, shows episodes."""
    return [
        f"{m.path}:{line}: holds query labels ({name}): leave them with harness/evaluate.py"
        for m in modules(root)
        if not _is_allowed(m.path, MAY_HOLD_LABELS)
        for name, line in _names_used(m.tree)
        if name.startswith("query_y")
    ]


def _names_used(tree: ast.Module) -> Iterator[tuple[str, int]]:
    yield from _names_made(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Name(ctx=ast.Load()):
                yield node.id, node.lineno
            case ast.Attribute(ctx=ast.Load()):
                yield node.attr, node.lineno
            case ast.keyword(arg=str(name)):
                yield name, node.value.lineno


def _is_allowed(path: str, allowed: Iterable[str]) -> bool:
    return any(_lies_in(path, pattern) for pattern in allowed)


def _calls(tree: ast.Module) -> Iterator[tuple[int, str | None]]:
    """Yield line and full name of everything that is called."""
    imports = _imports(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node.lineno, _dotted(node.func, imports)


def _imports(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for: `np` for `numpy`, `seed` for `random.seed`."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found |= {a.asname: a.name for a in names if a.asname}
            case ast.ImportFrom(module=str(module), names=names):
                found |= {a.asname or a.name: f"{module}.{a.name}" for a in names}
    return found


def _dotted(node: ast.expr, imports: dict[str, str]) -> str | None:
    """Return the full name of what is called, `np.random.seed` as `numpy.random.seed`."""
    match node:
        case ast.Name(id=name):
            return imports.get(name, name)
        case ast.Attribute(value=value, attr=name) if owner := _dotted(value, imports):
            return f"{owner}.{name}"
    return None


# Rooms -------------------------------------------------------------------------------------------

GROUND = {"__init__", "protocols", "errors", "files", "machine", "units", "options"}


def flat_modules(root: Path) -> list[str]:
    """No module lies flat in the package but those that every room stands on."""
    flat = [PurePosixPath(m.path) for m in modules(root)]
    return [
        f"{path}:1: lies flat in fewshot/: give it a room"
        for path in flat
        if len(path.parts) == 2 and path.stem not in GROUND
    ]


FACADES = {
    "fewshot/__init__.py": "the public names, loaded lazily",
    "fewshot/backbones/__init__.py": "the registry: name to class",
    "fewshot/data/__init__.py": "what others ask of data sets",
    "fewshot/learners/__init__.py": "the registry: name to class",
    "fewshot/learners/inner_loop/engines/__init__.py": "the registry: name to engine",
    "fewshot/reporting/html/__init__.py": "the report: one function",
    "fewshot/reporting/plots/__init__.py": "the figures: one function",
    "fewshot/reporting/tables/__init__.py": "tables: one function and its options",
}


def room_inits(root: Path) -> list[str]:
    """A room's `__init__` holds its docstring alone: importing one module loads no other."""
    return [
        f"{m.path}:{m.tree.body[-1].lineno}: a room's __init__ holds a docstring alone: "
        "import modules by their own names"
        for m in modules(root)
        if m.path.endswith("__init__.py") and m.path not in FACADES
        if len(m.tree.body) > 1 or (m.tree.body and not list(_docstrings(m.tree)))
    ]


TESTED_IN = {
    "fewshot/backbones/conv4.py": "tests/backbones/test_backbones.py",
    "fewshot/backbones/precision.py": "tests/backbones/test_backbones.py",
    "fewshot/cli/*.py": "tests/cli/test_main.py",
    "fewshot/data/sources/*.py": "tests/data/sources/test_sources.py",
    "fewshot/data/untrusted/pickle_*.py": "tests/data/untrusted/test_pickles.py",
    "fewshot/data/untrusted/*.py": "tests/data/untrusted/test_files.py",
    "fewshot/data/variants/*.py": "tests/data/variants/test_description.py",
    "fewshot/data/workers.py": "tests/data/test_store.py",
    "fewshot/harness/@(batches|recipe|selection).py": "tests/harness/test_train.py",
    "fewshot/harness/views.py": "tests/harness/test_evaluate.py",
    "fewshot/heads/logistic_newton.py": "tests/heads/test_logistic.py",
    "fewshot/heads/svm_*.py": "tests/heads/test_svm.py",
    "fewshot/heads/support.py": "tests/learners/test_convex_learners.py",
    "fewshot/learners/inner_loop/engines/*.py": "tests/learners/inner_loop/test_algebra.py",
    "fewshot/learners/@(anil|imaml|maml).py": "tests/learners/inner_loop/test_learner.py",
    **{
        f"fewshot/learners/{name}.py": "tests/learners/test_convex_learners.py"
        for name in ("logistic_head", "metaoptnet", "r2d2")
    },
    "fewshot/learners/*.py": "tests/test_contracts.py",
    "fewshot/protocols.py": "tests/test_contracts.py",
    "fewshot/reporting/html/*.py": "tests/reporting/html/test_page.py",
    "fewshot/reporting/plots/*.py": "tests/reporting/plots/test_figures.py",
    "fewshot/reporting/tables/*.py": "tests/reporting/tables/test_tables.py",
    "fewshot/runner/@(cells|settings).py": "tests/runner/test_benchmark_file.py",
    "fewshot/runner/record.py": "tests/runner/test_run.py",
    "fewshot/runner/conformance/*.py": "tests/runner/conformance/test_contract.py",
    "fewshot/runner/dry_run/*.py": "tests/runner/dry_run/test_estimate.py",
}
"""Modules that are tested through a door: the file that tests them, where none has their name."""

TESTS_OF_MORE = {
    "tests/data/untrusted/test_fuzz.py": "every reader, on damaged files",
    "tests/learners/test_convex_learners.py": "the learners whose heads are convex problems",
    "tests/reporting/html/test_browser.py": "the page in a browser",
    "tests/reporting/plots/test_figures.py": "every figure",
    "tests/test_committed_results.py": "the files below results/",
    "tests/test_contracts.py": "every learner on every backbone",
    "tests/test_docs.py": "the documents",
    "tests/test_house_rules.py": "the rules of this house",
    "tests/test_speed_scripts.py": "the scripts of benchmarks/speed",
    "tests/test_used_checkout.py": "the tests",
}
"""Test files of no one module, and what they test."""


def mirrored_tests(root: Path) -> list[str]:
    """Each module fewshot/a/b.py has tests/a/test_b.py, and each test file has its module."""
    code, tests = _paths(root, "fewshot"), _paths(root, "tests")
    untested = [
        f"{path}:1: nothing tests it: write {_mirror(path)}"
        for path in sorted(code)
        if not path.endswith("__init__.py") and not tests & {_mirror(path), _door(path)}
    ]
    known = {_mirror(path) for path in code} | TESTS_OF_MORE.keys()
    unknown = [
        f"{path}:1: tests no module of its place and name: move or rename it"
        for path in sorted(tests - known)
        if PurePosixPath(path).name.startswith("test_")
    ]
    return untested + unknown


def _door(path: str) -> str | None:
    return next((file for pattern, file in TESTED_IN.items() if _lies_in(path, pattern)), None)


def _paths(root: Path, folder: str) -> set[str]:
    return {module.path for module in modules(root, folder)}


def _mirror(path: str) -> str:
    """Return the test file of a module; a room's `__init__` is tested in a file of its name."""
    folder, name = PurePosixPath(path).parent, PurePosixPath(path).stem
    if name == "__init__":
        name = folder.name
    return (PurePosixPath("tests", *folder.parts[1:]) / f"test_{name}.py").as_posix()


def repeated_lines(root: Path) -> list[str]:
    """No six lines of code stand twice in the package, whatever their comments and spaces."""
    places: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
    for module in modules(root):
        lines = _code_lines(module)
        for at in range(len(lines) - SAME_LINES + 1):
            window = lines[at : at + SAME_LINES]
            places[tuple(text for _, text in window)].append((module.path, window[0][0]))
    found, told = [], set()
    for (one, one_line), *others in (where for where in places.values() if len(where) > 1):
        for other, line in others:
            # A longer run is told of once: its later windows follow a line that was told of.
            if (one, one_line - 1, other, line - 1) not in told:
                found.append(
                    f"{one}:{one_line}: {SAME_LINES} lines stand again at {other}:{line}: "
                    "give them one name"
                )
            told.add((one, one_line, other, line))
    return found


def _code_lines(module: Module) -> list[tuple[int, str]]:
    """Return number and tokens of each line of code: no imports, docstrings, comments, blanks."""
    skipped = set()
    for node in ast.walk(module.tree):
        alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if alone or isinstance(node, ast.Import | ast.ImportFrom):
            skipped |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines: dict[int, list[str]] = defaultdict(list)
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type not in (tokenize.COMMENT, tokenize.NL) and token.string.strip():
            lines[token.start[0]].append(token.string)
    return [(number, " ".join(lines[number])) for number in sorted(lines) if number not in skipped]


LAYERS = (
    "cli",
    "runner | reporting",
    "harness | learners | data | results",
    "heads | backbones | episodes",
    "protocols",
    "files | machine | units | options | statistics",
    "errors",
)
TORCHLESS = (
    *("data", "results", "reporting", "statistics", "units", "files", "options"),
    *("episodes.sampling", "episodes.source", "harness.recipe"),
    *("runner.cells", "runner.benchmark_file"),
)


def layers(root: Path) -> list[str]:
    """import-linter holds the seven layers of the design, and who never reaches torch."""
    settings = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    contracts = settings["contracts"]
    floors = [c for c in contracts if c["type"] == "layers"]
    found = []
    if [[_floor(layer) for layer in c["layers"]] for c in floors] != [[_floor(x) for x in LAYERS]]:
        found.append("pyproject.toml: the layers differ from the design's seven")
    if not all(c.get("exhaustive") and c["containers"] == ["fewshot"] for c in floors):
        found.append("pyproject.toml: the layers are not exhaustive over fewshot")
    apart = {
        name
        for c in contracts
        if c["type"] == "forbidden" and "torch" in c["forbidden_modules"]
        for name in c["source_modules"]
    }
    found += [
        f"pyproject.toml: fewshot.{name} may reach torch: forbid it"
        for name in TORCHLESS
        if f"fewshot.{name}" not in apart
    ]
    return found


def _floor(layer: str) -> set[str]:
    return {name.strip() for name in layer.split("|")}


# All ---------------------------------------------------------------------------------------------


def stale_exceptions(root: Path) -> list[str]:
    """An exception names files that exist."""
    paths = _paths(root, "fewshot") | _paths(root, "tests")
    pages = {page.relative_to(root).as_posix() for page in [root / "README.md"] if page.exists()}
    words = [allowed.files for ban in (*NAMES, *TEXTS) for allowed in ban.allowed]
    tables = (MAY_SEED, MAY_OPEN_TEST, MAY_HOLD_LABELS, FACADES, TESTED_IN, TESTS_OF_MORE)
    named = {*words, *chain.from_iterable(tables), *TESTED_IN.values()} - COMING.keys()
    return [
        f"tests/helpers/house_rules.py: the exception {pattern} is of no file: take it out"
        for pattern in sorted(named)
        if not any(_lies_in(path, pattern) for path in paths | pages)
    ]


COMING = {
    "fewshot/sharing/**": "the room of multi-task learning",
    "fewshot/heads/svm_*.py": "split",
}
"""Files that the design has and the package has not yet."""

RULES: tuple[Callable[[Path], list[str]], ...] = (
    long_files,
    long_functions,
    words_of_names,
    words_of_texts,
    docstrings,
    seeding,
    test_split,
    query_labels,
    flat_modules,
    room_inits,
    mirrored_tests,
    repeated_lines,
    layers,
    stale_exceptions,
)


if __name__ == "__main__":  # PYTHONPATH=tests python -m helpers.house_rules [FOLDER]
    for rule in RULES:
        for message in rule(Path(sys.argv[1] if len(sys.argv) > 1 else ".")):
            print(f"{rule.__name__}: {message}")
