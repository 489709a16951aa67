"""Commands: results on standard output, all else on standard error, mistakes in one line."""

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from helpers.checkout import shipped
from helpers.tiny import BENCHMARK, BROKEN, write_near, write_tiny
from PIL import Image

from fewshot import __version__
from fewshot.backbones import BACKBONES
from fewshot.data import DATASETS, available
from fewshot.learners import LEARNERS
from fewshot.learners.protonet import ProtoNet
from fewshot.runner.benchmark_file import shipped_benchmarks

SHORT = BENCHMARK.replace("n_shot = [1, 5]", "n_shot = 1").replace('"transfer"', '"mtl"')


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("data"))


@pytest.fixture
def benchmark(tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(SHORT)
    return path


@pytest.fixture
def run(fewshot, benchmark, tmp_path, data):
    """`fewshot run` of the benchmark into tmp_path/results."""

    def run(*arguments):
        places = ("--results", tmp_path / "results", "--data", data, "--device", "cpu")
        return fewshot("run", benchmark, *places, *arguments)

    return run


def is_one_line_of_error(outcome):
    """Exit code 2, one line on standard error that starts with 'error:', and nothing else."""
    code, out, err = outcome
    return code == 2 and out == "" and err.startswith("error: ") and err.count("\n") == 1


def draw_classes(folder, n_classes=6, per_class=3):
    rng = np.random.default_rng(0)
    for name in (f"class-{c}" for c in range(n_classes)):
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            pixels = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


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


@pytest.mark.parametrize(
    "text",
    [
        "not toml",
        "",
        "training = 3",
        'defaults = 3\n[[training]]\nlearner = "mtl"',
        "[training]\nlearner = 'mtl'",
        SHORT.replace("steps = 3", "steps = 0"),
        SHORT.replace("steps = 3", "stesp = 3"),
        SHORT + '[[training]]\nlearner = "mtl"\n',
    ],
    ids=[
        "not toml",
        "empty",
        "training is a number",
        "defaults is a number",
        "one bracket",
        "no steps",
        "unknown key",
        "the same training twice",
    ],
)
def test_a_benchmark_that_is_not_one_is_a_mistake_in_one_line(run, benchmark, tmp_path, text):
    benchmark.write_text(text)
    assert is_one_line_of_error(run())
    assert not (tmp_path / "results").exists()


def test_unknown_data_and_too_few_images_are_found_before_training(run, tmp_path):
    for setting, hint in [
        ("dataset=tiyn", "did you mean 'tiny'?"),
        ("scoring.n_query=9", "class 'class-11' has 9 images"),
        ("recipe.seconds=-1", "recipe.seconds"),
    ]:
        outcome = run("--set", setting)
        assert is_one_line_of_error(outcome)
        assert hint in outcome[2]
    assert is_one_line_of_error(run("--device", "toaster"))
    assert not (tmp_path / "results").exists()


def test_dry_run_prints_ids_and_runs_nothing(run, tmp_path):
    code, out, err = run("--dry-run")
    assert (code, err.count("\n")) == (0, 1)
    cells, total = out.split("\n\n")
    ids = [line.split()[0] for line in cells.splitlines()]
    assert [re.sub("-[0-9a-f]{8}$", "", name) for name in ids] == [
        "tiny-conv4-pixels-3w1s-s0",
        "tiny-conv4-protonet-3w1s-s0",
        "tiny-conv4-mtl-3w1s-s0",
    ]
    assert all(line.split()[1:3] == ["to", "do"] for line in cells.splitlines())
    assert "training 27 images" in cells.splitlines()[1]
    assert total.startswith("to do: 3 cells, 2 trainings: 54 images, 0.0 TFLOP, ")
    assert not (tmp_path / "results").exists()


def test_run_prints_the_table_on_stdout_and_progress_on_stderr(run, fewshot, tmp_path):
    code, out, err = run()
    assert code == 0
    assert "tiny 3w1s" in out
    assert all(name in out for name in ("pixels", "protonet", "mtl"))
    assert "[1/3] tiny-conv4-pixels" in err
    assert "trained 3 steps" in err
    assert "[1/3]" not in out
    assert "tiny 3w1s" not in err
    cells, total = run("--dry-run")[1].split("\n\n")
    assert all(line.endswith("  done") for line in cells.splitlines())
    assert total == "to do: 0 cells, 0 trainings\n"
    again = run()
    assert (again[0], again[1]) == (0, out)
    assert again[2] == "3 of 3 cells were already done\n"
    assert fewshot("table", tmp_path / "results") == (0, out, "")
    records = json.loads(fewshot("table", tmp_path / "results", "--format", "json")[1])
    assert {record["learner"] for record in records} == {"pixels", "protonet", "mtl"}
    assert run("--learner", "pixels")[1].count("3w1s") == 1
    assert "protonet" not in run("--learner", "pixels")[1]


def test_a_missing_data_set_is_a_hole_that_is_named_before_and_after(run, benchmark):
    benchmark.write_text(SHORT.replace('"tiny"', '["tiny", "mini-imagenet", "fc100"]'))
    code, out, err = run("--learner", "protonet")
    assert code == 0
    lines = err.splitlines()
    assert lines[:2] == [
        "left out, not here: mini-imagenet (`fewshot data fetch mini-imagenet`)",
        "left out, not here: fc100 (`fewshot data fetch fc100`)",
    ]
    assert lines[-1] == (
        "2 of 3 cells wait for data: mini-imagenet (`fewshot data fetch mini-imagenet`), "
        "fc100 (`fewshot data fetch fc100`)"
    )
    assert "tiny 3w1s" in out
    assert "mini-imagenet" not in out
    again = run("--learner", "protonet")
    assert (again[0], again[1]) == (0, out)
    assert "1 of 3 cells were already done" in again[2]
    forecast = run("--learner", "protonet", "--dry-run")[1].splitlines()
    assert "no data  fc100 (`fewshot data fetch fc100`)" in forecast[2]
    assert forecast[-1].startswith("no data: 2 cells, 2 trainings")


@pytest.mark.parametrize("names", ["mini-imagenet", "['mini-imagenet', 'fc100']"])
def test_a_benchmark_without_any_of_its_data_is_a_mistake(run, tmp_path, names):
    outcome = run("--set", f"dataset={names}")
    assert is_one_line_of_error(outcome)
    assert "mini-imagenet (`fewshot data fetch mini-imagenet`)" in outcome[2]
    assert not (tmp_path / "results").exists()


def test_classes_trained_on_are_warned_of_before_anything_is_trained(run, data, tmp_path):
    write_near(data)
    code, out, err = run("--set", "scoring.dataset=near")
    assert code == 0
    words = "warning: tiny to near: 2 of the 4 test classes were trained on: class-00, class-03"
    assert err.splitlines()[0] == words
    assert err.count("warning") == 1
    assert "near 3w1s" in out
    assert "protonet (trained on tiny)" in out
    assert "with 2 of the 4 test classes" in " ".join(out.split())
    write_near(data, seen=[])
    assert "warning" not in run("--set", "scoring.dataset=near")[2]


def test_rows_are_compared(run, fewshot, tmp_path):
    run()
    folder = tmp_path / "results" / "bench"
    code, out, err = fewshot("compare", folder, "mtl", "protonet")
    assert (code, err) == (0, "")
    assert "tiny 3w1s: mtl/conv4 less protonet/conv4" in out
    assert "verdict" in out
    assert "over data      +" in out or "over data      −" in out
    every = fewshot("compare", folder, "--format", "json")[1]
    assert len(json.loads(every)) == 3
    run("--learner", "protonet", "--set", "label=fp", "--set", "recipe.precision=bf16")
    outcome = fewshot("compare", folder, "mtl", "protonet (fp)")
    assert is_one_line_of_error(outcome)
    assert "precision fp32 / bf16" in outcome[2]
    code, out, _ = fewshot("compare", folder, "mtl", "protonet (fp)", "--allow-mixed")
    assert (code, "(mixed: precision fp32 / bf16)" in out) == (0, True)


def test_a_table_says_what_its_intervals_are_over(run, fewshot, tmp_path):
    run()
    folder = tmp_path / "results"
    for over, words in (("episodes", "over test episodes"), ("data", "over images")):
        assert words in fewshot("table", folder, "--interval", over, "--format", "md")[1]
    assert "±" in fewshot("table", folder, "--published")[1]


def test_episodes_are_drawn_into_a_file_that_is_printed(fewshot, data, tmp_path):
    shapes = {"small": (2, 1, 2), "large": (3, 2, 4)}
    for name, (way, shot, query) in shapes.items():
        out = tmp_path / f"{name}.png"
        shape = ("--way", way, "--shot", shot, "--query", query)
        done = fewshot("episodes", "tiny", "--data", data, "--out", out, "--split", "test", *shape)
        assert done == (0, f"{out}\n", "")
    small, large = (Image.open(tmp_path / f"{name}.png") for name in shapes)
    with small, large:
        assert small.format == "PNG"
        assert small.height < large.height


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (
            ["--query", 10],
            "class 'class-00' of the train split has 10 images, fewer than 5 support",
        ),
        (["--way", 6, "--query", 5], "the train split has 5 classes, fewer than 6 ways"),
        (["--query", 5, "--episodes", 500], "ask for fewer"),
        (["--query", 5, "--out", "a.gif"], "a.gif: unknown format"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_episodes_that_cannot_be_drawn_are_a_mistake(fewshot, data, tmp_path, options, hint):
    outcome = fewshot("episodes", "tiny", "--data", data, "--out", tmp_path / "a.png", *options)
    assert is_one_line_of_error(outcome)
    assert hint in outcome[2]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_episodes_of_glyphs_need_no_download(fewshot, tmp_path):
    out = tmp_path / "new" / "glyphs.svg"
    assert fewshot("episodes", "glyphs", "--data", tmp_path, "--out", out)[:2] == (0, f"{out}\n")
    assert available(tmp_path) == ["glyphs"]
    assert out.read_text().startswith("<?xml")


@pytest.fixture(scope="module")
def fc100(committed_results):
    return committed_results / "fc100"


def test_a_table_is_chosen_sorted_filtered_and_grouped(fewshot, fc100):
    def lines(*arguments):
        code, out, err = fewshot("table", fc100, "--format", "md", *arguments)
        assert (code, err) == (0, "")
        return [line for line in out.splitlines() if line.startswith("|")]

    header, _, *rows = lines("--columns", "seeds,target", "--target", "0.5", "--sort", "learner")
    assert header == "| learner | backbone | seeds | to 50 % |"
    assert [row.split(" | ")[0] for row in rows] == ["| pixels", "| transfer"]
    only = lines("--where", "learner=pixels", "--where", "n_shot=5")[2:]
    assert [row.split(" | ")[0] for row in only] == ["| pixels"]
    assert "**conv4**" in lines("--group", "backbone")[2]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--columns", "scores,trainign"], "did you mean 'training'?"),
        (["--columns", "target"], "no target is set; --target"),
        (["--target", "65"], "target 65: an accuracy is above 0"),
        (["--sort", "leaner"], "did you mean 'learner'?"),
        (["--where", "learner=pixel"], "did you mean 'pixels'?"),
        (["--group", "backbones"], "did you mean 'backbone'?"),
        (["--format", "json", "--columns", "scores"], "json holds every field"),
    ],
)
def test_a_table_that_has_no_answer_is_one_line(fewshot, fc100, arguments, hint):
    outcome = fewshot("table", fc100, *arguments)
    assert is_one_line_of_error(outcome)
    assert hint in outcome[2]


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {"TERM": "xterm", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colour_is_for_terminals_whose_user_wants_it(
    fewshot, fc100, monkeypatch, terminal, environment, coloured
):
    for name in ("TERM", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    code, out, _ = fewshot("table", fc100)
    assert (code, "\x1b[" in out) == (0, coloured)


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


def test_force_runs_finished_cells_again(run):
    run("--learner", "pixels")
    code, _, err = run("--learner", "pixels", "--force")
    assert code == 0
    assert "[1/1] tiny-conv4-pixels" in err
    assert "already done" not in err


def test_a_failed_cell_gives_exit_code_1_and_the_table_of_the_others(run, benchmark, monkeypatch):
    class Broken(ProtoNet):
        def loss(self, batch):
            raise RuntimeError("no luck")

    monkeypatch.setitem(LEARNERS, "broken", Broken)
    benchmark.write_text(BROKEN)
    code, out, err = run("--set", "scoring.n_shot=1")
    assert code == 1
    assert "RuntimeError: no luck" in err
    assert "1 cells failed: tiny-conv4-broken" in err
    assert "pixels" in out
    assert "broken" not in out
    code, out, err = run("--set", "scoring.n_shot=1", "--learner", "broken")
    assert (code, out) == (1, "")


def test_an_interrupt_says_how_to_go_on(run, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("fewshot.runner.run.evaluate", interrupt)
    code, out, err = run()
    assert (code, out) == (130, "")
    assert "run the same command again" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", b"{"),
        ("run.json", b'{"schema": 1}'),
        ("episodes.parquet", b"nothing"),
    ],
)
def test_a_damaged_result_is_a_mistake_in_one_line(run, fewshot, tmp_path, name, content):
    run("--learner", "pixels")
    (file,) = (tmp_path / "results").rglob(name)
    file.write_bytes(content)
    outcome = fewshot("table", tmp_path / "results")
    assert is_one_line_of_error(outcome)
    assert name in outcome[2]


@pytest.mark.parametrize("packed", [False, True])
def test_own_images_are_imported_described_and_verified(fewshot, tmp_path, packed):
    source, data = draw_classes(tmp_path / "images"), tmp_path / "data"
    if packed:
        source = Path(shutil.make_archive(str(tmp_path / "images"), "zip", source))
    arguments = ("mine", source, "--size", 16, "--split", "3/1/2", "--data", data)
    code, out, err = fewshot("data", "import", *arguments)
    assert (code, err) == (0, f"{source.name}: class folders, 18 files\n")
    info = dict(line.split(None, 1) for line in out.splitlines())
    assert (info["name"], info["images"], info["image_size"]) == ("mine", "18", "16")
    assert info["classes"] == "train 3, val 1, test 2"
    assert fewshot("data", "info", "mine", "--data", data) == (0, out, "")
    assert fewshot("data", "info", "--data", data) == (0, out, "")
    assert fewshot("data", "verify", "mine", "--data", data)[0] == 0


def test_no_data_sets_is_said_on_stderr(fewshot, tmp_path):
    code, out, err = fewshot("data", "info", "--data", tmp_path)
    assert (code, out) == (0, "")
    assert "no data sets" in err


@pytest.mark.parametrize("fault", ["not a zip", "a file cut short", "no such file"])
def test_a_bad_zip_is_a_mistake_and_leaves_no_store(fewshot, tmp_path, fault):
    source, data = tmp_path / "images.zip", tmp_path / "data"
    if fault == "not a zip":
        source.write_bytes(b"PK\x03\x04" + bytes(100))
    elif fault == "a file cut short":
        image = next(draw_classes(tmp_path / "images", 3, 2).glob("class-2/1.png"))
        image.write_bytes(image.read_bytes()[:100])
        with ZipFile(source, "w") as archive:
            for path in sorted((tmp_path / "images").rglob("*.png")):
                archive.write(path, path.relative_to(tmp_path / "images"))
    arguments = ("mine", source, "--size", 16, "--split", "1/1/1", "--data", data)
    code, out, err = fewshot("data", "import", *arguments)
    found = "images.zip: class folders, 6 files\n" if fault == "a file cut short" else ""
    assert is_one_line_of_error((code, out, err.removeprefix(found)))
    assert available(data) == []
    assert not [p for p in data.rglob("*") if p.suffix != ".lock"]


def test_a_training_alone_scores_no_test_class_and_is_not_done_again(run, tmp_path):
    code, out, err = run("--learner", "protonet", "--train-only")
    assert (code, out) == (0, "")
    assert "val " in err
    assert "test accuracy" not in err
    assert not list((tmp_path / "results").rglob("run.json"))
    assert list((tmp_path / "results").rglob("curve.csv"))
    code, out, err = run("--learner", "protonet")
    assert (code, "test accuracy" in err) == (0, True)
    assert "val " not in err
    assert "protonet" in out


@pytest.mark.parametrize("file", ["run.json", "episodes.parquet"])
def test_a_damaged_cell_is_run_again(run, tmp_path, file):
    run("--learner", "pixels")
    (damaged,) = (tmp_path / "results").rglob(file)
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    code, out, err = run("--learner", "pixels")
    assert (code, "test accuracy" in err) == (0, True)
    assert "pixels" in out


def test_a_dry_run_refuses_what_a_run_would(run):
    refused = run("--set", "scoring.n_way=50")
    assert is_one_line_of_error(refused)
    assert run("--set", "scoring.n_way=50", "--dry-run") == refused


def test_defaults_in_help_are_not_taken_for_markup(fewshot):
    for command, words in (("run", "[all cores]"), ("table", "[the last score]")):
        assert words in " ".join(fewshot(command, "--help")[1].split())


def test_columns_may_stand_apart(run, fewshot, tmp_path):
    run("--learner", "pixels")
    folder = tmp_path / "results"
    apart = fewshot("table", folder, "--columns", "scores, training", "--format", "md")
    assert apart == fewshot("table", folder, "--columns", "scores,training", "--format", "md")


@pytest.mark.parametrize("native", [True, False])
def test_a_run_says_when_bf16_is_emulated(run, monkeypatch, native):
    monkeypatch.setattr("fewshot.machine.computes_bf16", lambda: native)
    _, _, err = run("--learner", "protonet", "--set", "recipe.precision=bf16")
    assert ("this processor emulates bf16" in err) == (not native)


def test_doctor_prints_versions_machine_and_data(fewshot, data):
    code, out, err = fewshot("doctor", "--data", data)
    assert (code, err) == (0, "")
    states = {words[0]: words[1:] for line in out.splitlines() if (words := line.split())}
    assert states["fewshot"] == [__version__]
    for package in ("torch", "torchvision", "numpy"):
        assert states[package] == [version(package)]
    assert states["tiny"] == ["present"]
    assert "missing: fewshot data fetch cifar-fs" in out


def test_importing_the_package_imports_nothing_heavy():
    script = (
        "import sys, fewshot, fewshot.cli\n"
        "print([m for m in ('torch', 'torchvision', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_installed_command_ends_with_code_2_and_one_line_without_torch(tmp_path):
    """In a process of its own, where importing torch is an error."""
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')\n")
    command = [sys.executable, "-m", "fewshot.cli.main", "table", str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)}
    )
    assert is_one_line_of_error((done.returncode, done.stdout, done.stderr))
    assert f"no finished cells in {tmp_path}" in done.stderr
