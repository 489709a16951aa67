"""The timings: their checks catch what they should, and each runs, at a tiny scale."""

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.cells import altered, made_cell
from helpers.learners import LEARNERS, small_learner
from helpers.paths import ROOT
from helpers.sources import make_source
from scipy import stats

from fewshot import data
from fewshot.data.catalogue import known_datasets
from fewshot.episodes.sampling import EpisodeShape
from fewshot.episodes.tensors import Images
from fewshot.harness.recipe import Recipe

SPEED = ROOT / "benchmarks" / "speed"
HELD = ("PIL images", "float tensors")
SHAPE = EpisodeShape(n_way=5, n_shot=5, n_query=15)
SCALE = {"classes": 6, "images": 22, "rounds": 1, "seconds": 0.01, "threads": 1}
TINY = [word for key, value in SCALE.items() for word in (f"--{key}", str(value))]
needs_peers = pytest.mark.skipif(
    not (find_spec("learn2learn") and find_spec("easyfsl")), reason="peers are not installed"
)


@pytest.fixture(scope="module")
def scripts():
    """The scripts as modules; they import one another from their own folder."""
    names = ("common", "loaders", "loader_checks", "loading", "evaluation", "training", "speedrun")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SPEED))
        yield SimpleNamespace(**{name: __import__(name) for name in names})
        for name in names:
            del sys.modules[name]


@pytest.fixture(scope="module")
def noise(scripts):
    """Random images of 32x32: marks survive a crop of images of 20 pixels and more."""
    return scripts.loading.random_pixels(8, 30)


@pytest.fixture(scope="module")
def marked(scripts, noise):
    return scripts.loader_checks.marked_source(noise, 30)


@pytest.fixture
def parts(scripts, marked):
    """A valid episode of the marked images."""
    loader = scripts.loaders.ours(marked, SHAPE, "none", 1)
    return loader.read(loader.draw())[0]


def test_contestants_take_turns_and_the_first_round_does_not_count(scripts):
    calls, count = [], itertools.count()

    def run(name):
        calls.append(name)
        return next(count)

    out = scripts.common.take_turns({name: lambda name=name: run(name) for name in "ab"}, 2)
    assert calls == list("ababab")
    assert out == {"a": [2, 4], "b": [3, 5]}


def test_a_report_tells_options_but_no_paths_of_the_machine(scripts, tmp_path, cpu):
    args = SimpleNamespace(rounds=3, data=tmp_path, json=tmp_path / "report.json")
    scripts.common.write_report(args.json, scripts.common.describe_run(args, cpu, peer="0.2.0"))
    report = json.loads(args.json.read_text())
    assert (report["options"], report["peer"]) == ({"rounds": 3}, "0.2.0")
    assert {"host", "git"} < report.keys()
    scripts.common.write_report(None, report)


def test_ratios_are_of_the_best_of_each_way(scripts):
    rows = [
        {"who": who, "how": how, "workers": workers, "episodes_per_s": rate}
        for who, how, workers, rate in (
            ("ours", "1 at once", 0, 800.0),
            ("ours", "4 at once", 0, 1000.0),
            ("learn2learn", "PIL images", 0, 40.0),
            ("learn2learn", "PIL images", 2, 50.0),
            ("learn2learn", "float tensors", 0, 2000.0),
        )
    ]
    expected = {"learn2learn, PIL images": 20.0, "learn2learn, float tensors": 0.5}
    assert scripts.loading.ratios(rows) == expected
    text = scripts.loading.table("none", rows).splitlines()
    assert [line.endswith("times") for line in text] == [False, False, False, False, True, True]
    assert "ours: 20.0 times" in text[4]


def test_marked_images_tell_number_mirroring_and_padding(scripts, marked):
    read, x_ICHW = scripts.loader_checks.read_marks, normalised(marked)
    numbers, mirrored, padded = read(x_ICHW, marked)
    assert (numbers == np.arange(240)).all()
    assert not mirrored.any()
    assert not padded.any()
    numbers, mirrored, padded = read(x_ICHW.flip(3), marked)
    assert (numbers == np.arange(240)).all()
    assert mirrored.all()
    black = normalised(marked, torch.zeros(240, 32, 32, 3, dtype=torch.uint8))
    shifted = torch.cat([x_ICHW[:, :, 1:], black[:, :, :1]], 2)
    numbers, mirrored, padded = read(shifted, marked)
    assert (numbers == np.arange(240)).all()
    assert padded.all()


def test_images_of_another_scale_or_data_set_are_seen(scripts, marked, noise):
    read, x_ICHW = scripts.loader_checks.read_marks, normalised(marked)
    with pytest.raises(ValueError, match="not normalised"):
        read(x_ICHW * 1.001, marked)
    with pytest.raises(ValueError, match="none of the data set's"):
        read(normalised(noise), marked)


def normalised(source, pixels=None):
    images = Images(source, torch.device("cpu"))
    return images.normalized(images.pixels(source.indices) if pixels is None else pixels)


def repeat_an_image(parts):
    query = parts.query_x_QCHW.clone()
    same = int((parts.query_y_Q == parts.support_y_S[0]).nonzero()[0])
    query[same] = parts.support_x_SCHW[0]
    return parts._replace(query_x_QCHW=query)


def swap_labels(parts):
    return parts._replace(query_y_Q=(parts.query_y_Q + 1) % 5)


def unbalance(parts):
    return parts._replace(support_y_S=torch.where(parts.support_y_S == 4, 3, parts.support_y_S))


def lose_an_image(parts):
    return parts._replace(query_x_QCHW=parts.query_x_QCHW[:-1], query_y_Q=parts.query_y_Q[:-1])


def use_half(parts):
    return parts._replace(support_x_SCHW=parts.support_x_SCHW.half())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (repeat_an_image, "twice"),
        (swap_labels, "two classes"),
        (unbalance, "labels"),
        (lose_an_image, "not \\(75"),
        (use_half, "float16"),
    ],
)
def test_a_wrong_episode_is_seen(scripts, marked, parts, fault, message):
    scripts.loader_checks.check_marked(parts, marked, SHAPE)
    with pytest.raises(ValueError, match=message):
        scripts.loader_checks.check_marked(fault(parts), marked, SHAPE)


def test_rows_of_too_few_classes_are_seen(scripts):
    labels = np.repeat(np.arange(8), 30).tolist()
    rows_NM = np.arange(5)[:, None] * 30 + np.arange(20)
    scripts.loader_checks.check_rows(rows_NM.ravel(), labels, SHAPE)
    rows_NM[4] = np.arange(20) + 3 * 30 + 10
    with pytest.raises(ValueError, match="twice"):
        scripts.loader_checks.check_rows(rows_NM.ravel(), labels, SHAPE)
    with pytest.raises(ValueError, match="images a class"):
        scripts.loader_checks.check_rows(np.arange(100), labels, SHAPE)


@pytest.mark.parametrize("augment", ["none", "crop_flip"])
def test_ours_passes_and_does_not_pass_for_another_augmentation(scripts, marked, augment):
    other = {"none": "crop_flip", "crop_flip": "none"}[augment]
    for n in (1, 4):
        loader = scripts.loaders.ours(marked, SHAPE, augment, n)
        scripts.loader_checks.check_loader(loader, marked, SHAPE, augment)
    with pytest.raises(ValueError, match="mirrored"):
        scripts.loader_checks.check_loader(loader, marked, SHAPE, other)


def test_a_source_that_gives_one_episode_again_and_again_is_seen(scripts, marked):
    loader = scripts.loaders.ours(marked, SHAPE, "none", 1)
    batch = loader.draw()
    stuck = loader._replace(draw=lambda: batch)
    with pytest.raises(ValueError, match="same episode"):
        scripts.loader_checks.check_loader(stuck, marked, SHAPE, "none")


@pytest.mark.parametrize("held", HELD)
def test_peers_get_the_same_images_and_the_same_augmentation(scripts, noise, marked, held):
    dataset = scripts.loaders.hold(noise, "none", held)
    theirs_ICHW = torch.stack([dataset[i][0] for i in range(len(dataset))])
    torch.testing.assert_close(theirs_ICHW, normalised(noise).contiguous())
    assert dataset.get_labels() == [dataset[i][1] for i in range(240)]
    assert dataset.get_labels() == np.repeat(np.arange(8), 30).tolist()

    torch.manual_seed(0)
    dataset = scripts.loaders.hold(marked, "crop_flip", held)
    x_ICHW = torch.stack([dataset[i][0] for i in range(240)])
    numbers, mirrored, padded = scripts.loader_checks.read_marks(x_ICHW, marked)
    assert (numbers == np.arange(240)).all()
    assert 80 < mirrored.sum() < 160
    assert padded.float().mean() > 0.9


def test_indices_of_ours_are_those_of_the_split(scripts, noise):
    """Whatever rows of the store its classes have."""
    moved = replace(noise, class_starts=noise.class_starts[::-1] + 100)
    sampler = scripts.loaders.samplers(moved, SHAPE, [2], [])[0]
    for rows_M in sampler.read(sampler.draw()):
        scripts.loader_checks.check_rows(rows_M, scripts.loaders.labels_of(noise), SHAPE)


def test_it_runs_without_peers(scripts, monkeypatch, capsys, tmp_path):
    path = tmp_path / "loading.json"
    monkeypatch.setattr(sys, "argv", ["loading.py", *TINY, "--json", str(path)])
    monkeypatch.setattr(scripts.loaders, "installed_peers", lambda: [])
    monkeypatch.setattr(scripts.loading.machine, "keep_freed_memory", lambda: True)
    scripts.loading.main()
    out, err = capsys.readouterr()
    assert "random pixels: 6 classes of 22 images, 32x32" in out
    assert "learn2learn is not installed" in err
    report = json.loads(path.read_text())
    assert report["ratios"] == {"indices": {}, "none": {}, "crop_flip": {}}
    for rows in report["results"].values():
        assert [row["how"] for row in rows] == ["1 at once", "4 at once"]
        assert all(0 < row["least"] <= row["episodes_per_s"] <= row["most"] for row in rows)


@pytest.mark.slow
@needs_peers
def test_it_runs_with_peers(tmp_path):
    path = tmp_path / "loading.json"
    command = [sys.executable, SPEED / "loading.py", *TINY, "--json", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ratios = json.loads(path.read_text())["ratios"]
    ways = {f"{who}, {how}" for who in ("learn2learn", "easyfsl") for how in HELD}
    assert ratios["none"].keys() == ratios["crop_flip"].keys() == ways
    assert len(ratios["indices"]) == 3


# Evaluation, training, speed runs


@pytest.mark.parametrize(
    ("accuracies", "words"),
    [
        ((0.77, 0.772, 0.768), "reached"),
        ((0.765, 0.775, 0.745), "above, but p >= 0.01"),
        ((0.75, 0.755, 0.745), "missed"),
        ((0.77,), "above, one seed"),
        ((0.75,), "below, one seed"),
    ],
)
def test_a_target_is_reached_by_the_mean_over_seeds_beyond_doubt(scripts, accuracies, words):
    assert scripts.speedrun.verdict(accuracies, 0.76)[1] == words


def test_the_p_of_a_target_is_the_one_sided_t_test_of_scipy(scripts):
    p, _ = scripts.speedrun.verdict((0.77, 0.772, 0.768), 0.76)
    two_sided = stats.ttest_1samp((0.77, 0.772, 0.768), 0.76).pvalue
    assert p == pytest.approx(two_sided / 2)


def test_a_speed_run_is_summed_up_from_its_cells(scripts):
    cells = [
        made_cell("transfer", *acc, seed=seed) for seed, acc in enumerate([(0.7, 0.9), (0.8, 0.84)])
    ]
    for i, seconds in enumerate((50.0, 60.0)):
        spent = {"train_s": seconds, "warmup_s": 1.0, "others": 0.01}
        changes = {f"training.spent.{key}": value for key, value in spent.items()}
        changes |= {"training.host": cells[i].run.json["host"], "training.git": None}
        cells[i] = altered(cells[i], changes)
    found = scripts.speedrun.summary(cells, 0.76)
    assert found["accuracies"] == pytest.approx([0.8, 0.82])
    assert (found["accuracy"], found["train_s"]) == (pytest.approx(0.81), [50.0, 60.0])
    assert found["seeds"] == [0, 1]


def test_steps_on_a_batch_train_and_give_a_rate(scripts, noise):
    learner = small_learner("transfer", 8)
    before = learner.classifier.weight.clone()
    source = make_source("train")
    rate = scripts.training.steps_of(learner, Recipe(steps=1, batch_size=4), source, True, 2)()
    assert rate > 0
    assert not torch.equal(learner.classifier.weight, before)


def test_the_rate_of_products_counts_their_operations(scripts, monkeypatch):
    """Of matrices an eighth as large, in a time that is always a second."""
    moments = iter(range(10))
    monkeypatch.setattr(scripts.training.time, "perf_counter", lambda: next(moments))
    monkeypatch.setattr(scripts.training, "EDGES", {"cpu": 256})
    rate = scripts.training.matrix_rate(torch.device("cpu"), torch.float32)
    assert rate == scripts.training.PRODUCTS["cpu"] * 2 * 256**3


def test_every_trained_learner_of_the_benchmark_is_timed(scripts):
    found = scripts.training.trainings()
    assert set(found) == {name for name, cls in LEARNERS.items() if cls.trains_on != "nothing"}


@pytest.mark.slow
def test_scoring_is_timed_against_embedding(tmp_path):
    out = tmp_path / "out.json"
    script = [sys.executable, str(SPEED / "evaluation.py"), "--data", str(tmp_path / "data")]
    small = ["--dataset", "glyphs", "--episodes", "20", "--rounds", "1", "--json", str(out)]
    data.dataset_info("glyphs", tmp_path / "data", known_datasets())  # draws them
    subprocess.run([*script, *small], check=True, capture_output=True)
    results = json.loads(out.read_text())["results"]
    assert set(results) == {"embedding", "protonet", "transfer"}
    assert results["embedding"]["ratio"] == 1


@pytest.mark.slow
def test_training_is_timed_in_all_ways(tmp_path):
    out = tmp_path / "out.json"
    script = [sys.executable, str(SPEED / "training.py"), "--data", str(tmp_path / "data")]
    small = ["--dataset", "glyphs", "--steps", "2", "--rounds", "1", "--learner-steps", "1"]
    data.dataset_info("glyphs", tmp_path / "data", known_datasets())
    command = [*script, *small, "--backbones", "conv4", "--json", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    found = json.loads(out.read_text())
    assert set(found["conv4"]["share_of_limit"]) == {
        *("plain", "step", "float32", "winograd", "harness")
    }
    # No limit from above: the limit is measured too, in one moment of a machine that others use.
    assert all(share > 0 for share in found["conv4"]["share_of_limit"].values())
    assert all(rate > 0 for rate in found["learners"].values())
