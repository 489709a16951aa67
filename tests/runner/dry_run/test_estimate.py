"""What a benchmark will cost: counted, not guessed, and near to what was measured."""

import json
import shutil
import warnings
from dataclasses import replace

import pytest
import torch
from helpers.checkout import shipped
from helpers.learners import BACKBONES, LEARNERS, classes_of
from helpers.made_data import DATASETS
from helpers.tiny import BENCHMARK, write_tiny
from torch.utils.flop_counter import FlopCounterMode

from fewshot.harness.recipe import Recipe, Scoring
from fewshot.learners.protonet import ProtoNet
from fewshot.protocols import EpisodeBatch, ImageBatch
from fewshot.runner.benchmark import load_benchmark
from fewshot.runner.benchmark_file import parse_benchmark, parse_document, shipped_benchmarks
from fewshot.runner.build import new_learner
from fewshot.runner.dry_run import flops, throughput
from fewshot.runner.dry_run.estimate import cost_words, forecast, lines_of
from fewshot.runner.dry_run.flops import Cost, estimate
from fewshot.runner.dry_run.throughput import Rates
from fewshot.runner.run import run_cells
from fewshot.runner.settings import parse_settings
from fewshot.runner.workspace import open_workspace

CPU = torch.device("cpu")
CONFIGS = {
    "learner": {name: cls.Config for name, cls in LEARNERS.items()},
    "backbone": {name: cls.Config for name, cls in BACKBONES.items()},
}


def rate_of(training, classes, image_size, images):
    """A machine that does 10^9 operations a second, whatever they are for."""
    return 1e9


# Estimates -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budgets", "steps"),
    [
        ({"steps": 30}, 30),
        ({"images": 1000}, 10),
        ({"images": 1001}, 11),
        ({"seconds": 4.0}, 8),
        ({"steps": 30, "images": 1000, "seconds": 100.0}, 10),
        ({"steps": 9, "images": 1000}, 9),
    ],
)
def test_a_training_ends_with_its_first_budget(budgets, steps):
    recipe = Recipe(**budgets, validations=3)
    found = estimate(recipe, Cost(images=100, flops=1e9), validation_flops=5e9, rate=2e9)
    assert found == Cost(100 * steps, steps * 1e9 + 15e9, steps / 2 + 7.5)


def test_costs_add_up():
    assert sum([Cost(1, 2.0, 3.0), Cost(10, 20.0, 30.0)], Cost()) == Cost(11, 22.0, 33.0)


def test_scoring_counts_copies_and_episodes_that_share_no_image():
    assert flops.scored_images(Scoring(), 12_000) == 12_000
    assert flops.scored_images(Scoring(support_copies=5), 12_000) == 72_000
    assert flops.scored_episodes(Scoring(episodes=2000), 12_000, disjoint=True) == 2120
    assert flops.scored_episodes(Scoring(episodes=200), 9600, disjoint=False) == 200


@pytest.mark.parametrize(
    ("spent", "words"),
    [
        (Cost(0, 4e10, 12), "0 images, 0.0 TFLOP, 12 s"),
        (Cost(480_000, 1.97e14, 5400), "480,000 images, 197.0 TFLOP, 90.0 min"),
        (Cost(1, 2.5e15, 9000), "1 images, 2.5 PFLOP, 2.5 h"),
        (Cost(0, 1.01e19, 72_000_000), "0 images, 10.1 EFLOP, 20,000 h"),
    ],
)
def test_costs_in_words(spent, words):
    assert cost_words(spent) == words


def machine_of_the_results(training, classes, image_size, images):
    """Two cores of the machine of results/cifar_fs: one rate for each backbone and batch norm."""
    if training.backbone == "resnet12":
        return 350e9
    return 130e9 if classes.learner.differentiable_norm else 200e9


@pytest.mark.slow
def test_one_rate_a_backbone_explains_the_time_of_every_committed_training(
    tmp_path, committed_results
):
    """Within a factor of two, from 19 s to an hour; counts of inner loops included."""
    cells = {cell.id: cell for cell in load_benchmark("cifar_fs")}
    files = sorted((committed_results / "cifar_fs").glob("*/run.json"))
    runs = [json.loads(file.read_text()) for file in files]
    trained = {run["training"]["id"]: run for run in runs if run["training"]}
    chosen = [cells[run["cell"]] for run in trained.values() if run["cell"] in cells]
    place = open_workspace(tmp_path, tmp_path)
    found = forecast(chosen, place, False, machine_of_the_results)
    assert len(found) > 8
    for f in found:
        spent = trained[f.cell.training.id]["training"]["spent"]
        assert f.training.images == pytest.approx(spent["images"], rel=0.01)
        measured_s = spent["train_s"] + spent["validate_s"]
        assert 0.5 < f.training.seconds / measured_s < 2, (f.cell.id, f.training, measured_s)


# Counting ------------------------------------------------------------------------------------


def training_of(name, backbone="conv4", recipe="", options=""):
    text = f"""
    [[training]]
    dataset = "tiny"
    backbone = "{backbone}"
    learner = "{name}"
    learner_options = {{ {options} }}
    [training.recipe]
    steps = 1
    {recipe}
    """
    return cells_of(text)[0].training


def test_the_backbone_is_counted_as_by_hand():
    """Conv4-64 at 32x32: 3x3 convolutions; the images' own gradient is not asked for."""
    layers = [2 * 9 * c_in * 64 * side**2 for c_in, side in ((3, 32), (64, 16), (64, 8), (64, 4))]
    assert (
        flops.unit_flops(training_of("protonet"), classes_of("protonet"), 32)
        == 3 * sum(layers) - layers[0]
    )


@pytest.mark.parametrize("norm", ["protonet", "maml"])
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_neither_batch_norm_nor_precision_is_counted(norm, precision):
    training = training_of(norm, recipe=f'precision = "{precision}"')
    assert flops.unit_flops(training, classes_of(norm), 32) == 81_395_712


def test_operations_are_those_of_convolutions_as_they_are_defined():
    training = training_of("transfer", recipe='convolutions = "winograd"')
    assert flops.unit_flops(training, classes_of("transfer"), 32) == 81_395_712


BATCHES = {
    "transfer": ("batch_size = 24", ""),
    "maml": ("episodes_per_step = 2", "inner_steps = 2"),
    "fomaml": ("n_query = 5", "inner_steps = 2"),
    "imaml": ("n_query = 5", "inner_steps = 2, cg_steps = 2, cg_tolerance = 0, damping = 20"),
    "anil": ("n_shot = 1\nn_query = 5", ""),
    "mtl": ("n_way = 12\nn_shot = 2\nn_query = 2", ""),
}


@pytest.mark.parametrize("name", [n for n, cls in LEARNERS.items() if cls.trains_on != "nothing"])
def test_a_step_counted_on_small_images_is_that_of_the_whole_loss(name):
    """Run in full at 32 px, with all its images and episodes, heads and inner loops included."""
    recipe, options = BATCHES.get(name, ("n_way = 8\nn_shot = 3\nn_query = 4", ""))
    training, classes = training_of(name, recipe=recipe, options=options), classes_of(name)
    r = training.recipe
    if classes.learner.trains_on == "images":
        batch = ImageBatch(torch.randn(r.batch_size, 3, 32, 32), torch.zeros(r.batch_size).long())
    else:
        y_M = torch.arange(r.n_way).repeat_interleave(r.n_shot)
        y_M = torch.cat([y_M, torch.arange(r.n_way).repeat_interleave(r.n_query)])
        y_TM = y_M.repeat(r.episodes_per_step, 1)
        ids_TN = torch.arange(r.n_way).repeat(r.episodes_per_step, 1)
        x_TMCHW = torch.randn(*y_TM.shape, 3, 32, 32)
        batch = EpisodeBatch(x_TMCHW, y_TM, ids_TN, r.n_way * r.n_shot)
    learner = new_learner(training, classes, 32, 64).train()
    with warnings.catch_warnings(), FlopCounterMode(display=False) as counter:
        warnings.simplefilter("ignore")  # conjugate gradients are to take all their steps
        learner.loss(batch).backward()
    counted = flops.step_units(training, classes) * flops.unit_flops(training, classes, 32)
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.01)
    images = batch.y_I if isinstance(batch, ImageBatch) else batch.y_TM
    assert flops.step_images(r, classes.learner) == images.numel()


def test_inner_steps_and_mirrored_features_are_counted():
    def step(**options):
        text = ", ".join(f"{key} = {value}" for key, value in options.items())
        return flops.step_units(training_of("maml", options=text), classes_of("maml"))

    one, two, three = (step(inner_steps=n) for n in (1, 2, 3))
    assert two - one == pytest.approx(three - two)
    assert two > 1.2 * one
    plain, mirrored = (
        flops.embedding_units(training_of("mtl", options=options), classes_of("mtl"))
        for options in ("", "mirror = true")
    )
    assert mirrored == 2 * plain
    assert flops.embedding_units(training_of("pixels"), classes_of("pixels")) == 0


def test_adapting_costs_more_with_more_steps_and_shots():
    def units(shape, options=""):
        training = training_of("maml", options=options)
        return flops.episode_units(training, classes_of("maml"), shape)

    five, one = flops.EpisodeShape(5, 5, 3), flops.EpisodeShape(5, 1, 3)
    assert units(five) > 2 * units(one)
    assert units(five, "test_inner_steps = 2") < units(five) / 2


def test_sizes_of_data_sets_that_are_here_and_that_are_not(tmp_path):
    workspace = open_workspace(tmp_path, tmp_path)
    assert flops.data_size("cifar-fs", workspace) == (
        32,
        {"train": 38_400, "val": 9600, "test": 12_000},
    )
    tiered = flops.data_size("tiered-imagenet", workspace)
    assert (tiered.image_size, sum(tiered.images.values())) == (84, 779_165)
    assert flops.data_size("glyphs", workspace).image_size == DATASETS["glyphs"].image_size
    unknown = {"beetles": replace(DATASETS["fc100"], name="beetles", images=None)}
    beetles = flops.data_size("beetles", replace(workspace, datasets=unknown))
    assert beetles == flops.data_size("fc100", workspace)
    write_tiny(tmp_path)
    assert flops.data_size("tiny", workspace) == (16, {"train": 50, "val": 30, "test": 39})


# Rates ---------------------------------------------------------------------------------------


def timings(monkeypatch, seconds_of):
    """The (images, threads) of each timing, which takes `seconds_of` them."""
    timed = []

    def seconds(self, images):
        timed.append((images, torch.get_num_threads()))
        return seconds_of(*timed[-1])

    monkeypatch.setattr(throughput._Timed, "_seconds", seconds)
    return timed


def test_a_backbone_is_timed_once_on_ever_larger_batches(monkeypatch):
    timed = timings(monkeypatch, lambda images, threads: 0.01 + images / 1e4)
    training, machine = training_of("transfer"), Rates(CPU)
    rate = machine.of(training, classes_of("transfer"), 32, 100)
    assert [images for images, _ in timed[:6]] == [4, 4, 8, 16, 32, 64]
    assert rate == pytest.approx(64 * 81_395_712 / 0.0164)
    count = len(timed)
    assert machine.of(training, classes_of("mtl"), 32, 1000) == rate
    assert len(timed) == count
    machine.of(training, classes_of("maml"), 32, 100)
    assert len(timed) > count  # another batch norm
    count = len(timed)
    winograd = training_of("transfer", recipe='convolutions = "winograd"')
    machine.of(winograd, classes_of("transfer"), 32, 100)
    assert len(timed) > count


def test_where_threads_wait_for_each_other_one_is_enough(monkeypatch):
    """As on a busy machine: two are slower than one, by any factor."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        timings(monkeypatch, lambda images, threads: images * (1e-3 if threads == 1 else 0.2))
        rate = Rates(CPU).of(training_of("mtl"), classes_of("mtl"), 32, 8)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert rate == pytest.approx(81_395_712 / 1e-3)


def test_this_machine_has_a_rate():
    assert 1e6 < Rates(CPU).of(training_of("mtl"), classes_of("mtl"), 16, 8) < 1e16


# Forecasts -----------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path):
    return open_workspace(tmp_path / "results", write_tiny(tmp_path / "data"))


def cells_of(text=BENCHMARK, *settings):
    document = parse_document("bench", text)
    return parse_benchmark("bench", document, CONFIGS, parse_settings(settings))


def shown(cells, place, force=False):
    found = forecast(cells, place, force, rate_of)
    return found, lines_of(found, CPU)


def test_a_shared_training_is_counted_once_and_pixels_have_none(place):
    found, lines = shown(cells_of(), place)
    assert [f.state for f in found] == 6 * ["to do"]
    assert [f.training is not None for f in found] == [False, False, True, False, True, False]
    total = sum((c for f in found for c in (f.training, f.scoring) if c), Cost())
    assert total.seconds == pytest.approx(total.flops / 1e9)
    assert lines[-1].startswith(f"to do: 6 cells, 2 trainings: {cost_words(total)} on ")
    assert [line.split()[0] for line in lines[:6]] == [f.cell.id for f in found]
    assert total.images == 3 * 9 + 3 * 8


def test_only_what_is_to_do_is_counted(place):
    cells = cells_of()
    run_cells(cells, place, CPU, lambda line: None)
    found, lines = shown(cells, place)
    assert [f.state for f in found] == 6 * ["done"]
    assert lines[-1] == "to do: 0 cells, 0 trainings"
    assert shown(cells, place, force=True)[1][-1].startswith("to do: 6 cells, 2 trainings")
    shutil.rmtree(place.cell_folder(cells[2]))
    (again,) = [f for f in shown(cells, place)[0] if f.state == "to do"]
    assert (again.cell, again.training) == (cells[2], None)  # only to be scored
    write_tiny(place.data_dir, seed=1)  # other images: all of it must be done again
    assert shown(cells, place)[1][-1].startswith("to do: 6 cells, 2 trainings")


def test_cells_without_data_have_a_cost_and_sums_of_their_own(place):
    cells = cells_of(BENCHMARK, "dataset=['tiny','mini-imagenet']", "scoring.n_way=3")
    found, lines = shown(cells, place)
    assert {f.cell.training.dataset: f.state for f in found} == {
        "tiny": "to do",
        "mini-imagenet": "no data",
    }
    missing = [line for line in lines if line.startswith("mini-imagenet")]
    assert all("no data  mini-imagenet (`fewshot data fetch mini-imagenet`)" in m for m in missing)
    assert lines[-2].startswith("to do: 6 cells, 2 trainings: 51 images")
    assert lines[-1].startswith("no data: 6 cells, 2 trainings: 51 images")


def test_results_count_as_done_where_their_data_are_gone(place):
    cells = cells_of()
    run_cells(cells, place, CPU, lambda line: None)
    text = json.dumps({"cell": ""})
    elsewhere = cells_of(BENCHMARK.replace('"tiny"', '"cifar-fs"'))
    for cell, other in zip(cells, elsewhere, strict=True):
        shutil.copytree(place.cell_folder(cell), place.cell_folder(other))
        (place.cell_folder(other) / "run.json").write_text(text)
    assert {f.state for f in shown(elsewhere, place)[0]} == {"done"}


def test_a_learner_whose_loss_fails_has_no_estimate_and_leaves_the_others_theirs(place):
    class Broken(ProtoNet):
        def loss(self, batch):
            raise RuntimeError("no luck\nat all")

    place.learners["protonet"] = Broken
    found, lines = shown(cells_of(), place)
    assert "to do  no estimate (RuntimeError: no luck)" in lines[2]
    assert found[4].training is not None
    assert "cells without an estimate" in lines[-1]


def test_a_cell_scored_elsewhere_counts_the_images_there(place):
    cell = cells_of(BENCHMARK, "scoring.dataset=mini-imagenet")[2]
    (found,), _ = shown([cell], place)
    assert (found.state, found.missing) == ("no data", ("mini-imagenet",))
    classes = classes_of("protonet")
    units = flops.embedding_units(cell.training, classes) * 12_000
    assert found.scoring.flops == units * flops.unit_flops(cell.training, classes, 84)
    assert found.training.images == 27  # of the images that are here


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped(shipped_benchmarks()))
def test_every_shipped_benchmark_has_a_forecast_without_any_data(name, tmp_path):
    cells = load_benchmark(name)
    found = forecast(cells, open_workspace(tmp_path, tmp_path), False, rate_of)
    assert not [f for f in found if f.unknown]
    trainings = {c.training.id for c in cells if c.training.learner != "pixels"}
    assert sum(f.training is not None for f in found) == len(trainings)
    assert list(tmp_path.iterdir()) == []
