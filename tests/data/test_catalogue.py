"""Data sets by name: the suite's, a package's, and one in a user's file, used from end to end."""

import re
import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from helpers.commands import run_without_torch
from helpers.made_data import encode, pack
from helpers.paths import ROOT
from helpers.tiny import BENCHMARK

from fewshot import data, options
from fewshot.data import catalogue
from fewshot.errors import UserError
from fewshot.results.files import read_cells

PAGE = ROOT / "docs" / "adding_a_data_set.md"
EXAMPLE = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1)
SPECIES = re.findall(r'"(\w+ \w+)"', EXAMPLE.partition("split=")[2].partition("source=")[0])
PER_CLASS = 6


@pytest.fixture
def beetles(tmp_path):
    """The data set of the documentation: its file, and a zip of photographs with their table."""
    (tmp_path / "beetles.py").write_text(EXAMPLE)
    names = [f"{i:02}.png" for i in range(len(SPECIES) * PER_CLASS)]
    table = [f"{name},{SPECIES[i % len(SPECIES)]}" for i, name in enumerate(names)]
    files = {f"all/{name}": encode(i, size=(40, 32)) for i, name in enumerate(names)}
    files["all/species.csv"] = "\n".join(["file,species", *table]).encode()
    return f"{tmp_path / 'beetles.py'}:BEETLES", pack(tmp_path / "beetles.zip", files)


def test_the_example_is_short():
    assert len([line for line in EXAMPLE.splitlines() if line.strip()]) <= 40
    assert len(SPECIES) == 9


def test_a_data_set_of_ones_own_is_imported_shown_and_scored(beetles, fewshot, tmp_path):
    """From a folder that is no checkout; after the import its file may go."""
    spec, source = beetles
    where = ("--data", tmp_path / "data")
    code, out, err = fewshot("data", "import", spec, source, *where, "--resample", "bicubic")
    assert (code, "photographs with a table, 55 files" in err) == (0, True)
    assert re.search(r"split +by genus", out)
    assert re.search(r"mean +\[0.62, 0.6, 0.55\]", out)
    (tmp_path / "beetles.py").unlink()

    test = data.open_source("beetles", "test", tmp_path / "data", {})
    assert test.class_names == tuple(sorted(SPECIES[6:]))
    assert test.class_sizes.tolist() == [PER_CLASS] * 3
    assert (test.mean, test.std, test.image_size) == ((0.62, 0.6, 0.55), (0.24, 0.24, 0.25), 32)
    assert fewshot("data", "verify", "beetles", *where)[0] == 0
    shown = ("--way", 3, "--shot", 2, "--query", 4, "--out", tmp_path / "episodes.png")
    assert fewshot("episodes", "beetles", *where, *shown)[0] == 0

    benchmark = tmp_path / "mine.toml"
    benchmark.write_text(BENCHMARK.replace("episodes = 20", "episodes = 5").replace("[1, 5]", "1"))
    run = ("--set", "dataset=beetles", "--learner", "protonet", "--device", "cpu")
    assert fewshot("run", benchmark, *run, *where, "--results", tmp_path / "results")[0] == 0
    (cell,) = read_cells(tmp_path / "results" / "mine")
    assert (cell.run.dataset.name, cell.run.dataset.fingerprint) == ("beetles", test.fingerprint)


def test_it_is_read_outside_the_checkout(beetles, tmp_path):
    """By a process that stands elsewhere, where torch cannot be imported."""
    spec, source = beetles
    options = ("--data", tmp_path / "data", "--resample", "bicubic")
    done = run_without_torch("data", "import", spec, source, *options, cwd=tmp_path)
    assert (done.returncode, "by genus" in done.stdout) == (0, True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name="beetles"', 'name="fc100"', "there is a data set 'fc100': choose another name"),
        ('name="beetles"', 'name="../up"', "a data set's name has letters"),
        ("BEETLES = DataSource(", "BEETLES = dict(", "not a value of fewshot.data.DataSource"),
        ("    forms=(Form", "    )\nOTHER = ((Form", "needs forms in which it can be read"),
        ("BEETLES = ", "WASPS = ", "did you mean 'WASPS'|unknown class in"),
        ("import csv", "import no_such_package", "ModuleNotFoundError"),
        ("harpalus tardus", "harpalus laevipes", "missing class 'harpalus laevipes'"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_store(beetles, fewshot, tmp_path, old, new, message):
    spec, source = beetles
    (tmp_path / "beetles.py").write_text(EXAMPLE.replace(old, new))
    options = ("--data", tmp_path / "data", "--resample", "bicubic")
    code, out, err = fewshot("data", "import", spec, source, *options)
    assert (code, out) == (2, "")
    assert re.search(message, err.splitlines()[-1])
    assert data.available(tmp_path / "data") == []


def test_without_a_split_it_asks_for_one(beetles, fewshot, tmp_path):
    spec, source = beetles
    no_split = re.sub(r"    split=.*?\n    \),\n", "", EXAMPLE, flags=re.DOTALL)
    (tmp_path / "beetles.py").write_text(no_split)
    command = ("data", "import", spec, source, "--data", tmp_path, "--resample", "bicubic")
    assert "beetles: --split TRAIN/VAL/TEST says which" in fewshot(*command)[2]
    code, out, _ = fewshot(*command, "--split", "5/2/2")
    assert (code, "train 5, val 2, test 2" in out) == (0, True)


def test_what_can_be_drawn_is_drawn_and_what_cannot_be_fetched_says_so(beetles, fewshot, tmp_path):
    spec, _ = beetles
    where = ("--data", tmp_path / "data")
    assert "beetles cannot be downloaded: run" in fewshot("data", "fetch", spec, *where)[2]
    drawing = """
import numpy as np
def draw():
    sizes = dict.fromkeys(sorted(SPECIES), 2)
    return Reading(sizes, lambda start, stop: iter([np.zeros((stop - start, 32, 32, 3), "u1")]), {})
"""
    text = EXAMPLE.replace("    forms=", "    drawn=draw,\n    forms=")
    text = text.replace("BEETLES =", f"SPECIES = {SPECIES}\n{drawing}\nBEETLES =")
    (tmp_path / "beetles.py").write_text(text)
    code, out, _ = fewshot("data", "fetch", spec, *where)
    assert (code, "by genus" in out) == (0, True)
    drawn = data.open_source("beetles", "val", tmp_path / "data", {})
    assert (drawn.mean, len(drawn.indices)) == ((0.62, 0.6, 0.55), 6)


# Entry points --------------------------------------------------------------------------------


@pytest.fixture
def entry_point(monkeypatch):
    def entry_point(name, value):
        point = EntryPoint(name, value, "fewshot.datasets")
        monkeypatch.setattr(options, "entry_points", lambda group: [point])

    return entry_point


def test_an_installed_package_offers_data_sets_by_name(entry_point, fewshot, tmp_path, monkeypatch):
    (tmp_path / "beetles_package.py").write_text(EXAMPLE)
    monkeypatch.syspath_prepend(tmp_path)
    entry_point("beetles", "beetles_package:BEETLES")
    known = catalogue.known_datasets()
    assert [*known] == [*catalogue.DATASETS, "beetles"]
    assert known["beetles"].description == "ground beetles, split by genus"
    assert re.search(r"\nbeetles +ground beetles", fewshot("list", "datasets")[1])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("fc100", "fewshot.data.sources.cifar:FC100", "name 'fc100' is taken"),
        ("mine", "fewshot.data.sources.cifar:FC100", "'mine': its data set is called 'fc100'"),
        ("mine", "no_such_package:MINE", "ModuleNotFoundError"),
        ("mine", "fewshot.data.sources.cifar:PIXELS", "not a value of fewshot.data.DataSource"),
    ],
)
def test_a_faulty_entry_point_is_named(entry_point, name, value, message):
    entry_point(name, value)
    with pytest.raises(UserError, match=message):
        catalogue.known_datasets()


# The suite's own -----------------------------------------------------------------------------


def test_all_facts_of_the_suites_data_sets_agree():
    for name, known in catalogue.known_datasets().items():
        assert known.name == name
        assert known.in_suite
        classes = {part: len(known.split().classes(part)) for part in known.images}
        per_class = [known.images[part] / classes[part] for part in known.images]
        assert np.allclose(per_class, 600) or name == "tiered-imagenet"
        assert known.images["train"] >= known.images["val"]
    assert sum(known.images.values()) == 779_165  # of the last one, tieredImageNet


def test_a_store_of_the_suites_data_sets_holds_what_it_always_held(tmp_path):
    """No split and no constants, which would be facts told twice."""
    known = catalogue.known_datasets()
    few = {"glyphs": known["glyphs"]}
    info = data.dataset_info("glyphs", tmp_path, few)
    assert {file.name for file in (tmp_path / "glyphs").iterdir()} == {"images.npy", "index.json"}
    assert not {"mean", "std"} & set(info)
    assert info["variant"] == "no variant of it is known"


def test_listing_data_sets_is_quick_and_needs_no_torch():
    done = run_without_torch("list", "datasets")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == [*catalogue.DATASETS]
    slow = ["matplotlib", "pandas", "scipy", "pooch", "requests"]
    code = (
        "import sys\nfrom fewshot.data.catalogue import known_datasets\nknown_datasets()\n"
        f"print([name for name in {slow} if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "[]\n"
