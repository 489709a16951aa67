"""Indices of episodes are those of the images that were drawn, with their labels."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.sources import make_source

from fewshot import machine
from fewshot.episodes.augment import AUGMENTS
from fewshot.episodes.sampling import EpisodeShape, draw_episode
from fewshot.episodes.tensors import Images, episode_batch, episode_indices

SHAPE = EpisodeShape(3, 2, 4)


def drawn(source, count=4):
    return [draw_episode(0, source.split, i, source.class_sizes, SHAPE) for i in range(count)]


def test_each_image_belongs_to_the_class_of_its_label():
    source = make_source()
    indices, query_y_TQ = episode_indices(drawn(source), source.class_starts)
    class_of_image = np.arange(len(source.images_IHWC)) // source.class_sizes[0]
    for images, labels in (
        (indices.support_TS, indices.support_y_TS),
        (indices.query_TQ, query_y_TQ),
    ):
        classes = np.take_along_axis(indices.class_ids_TN, labels, axis=1)
        assert (class_of_image[images] == classes).all()
    for t in range(4):
        assert not set(indices.support_TS[t]) & set(indices.query_TQ[t])


def test_what_adapts_is_given_no_query_label():
    indices, query_y_TQ = episode_indices(drawn(make_source()), make_source().class_starts)
    assert not any("query_y" in name for name in indices._fields)
    assert not any(np.array_equal(part, query_y_TQ) for part in indices)


def test_pixels_are_normalised_and_channels_last(cpu):
    source = make_source()
    images = Images(source, cpu)
    x_ICHW = images.normalized(images.pixels(np.array([3, 5])))
    expected = (source.images_IHWC[[3, 5]] / 255 - 0.5) / 0.25
    assert np.allclose(x_ICHW.permute(0, 2, 3, 1).numpy(), expected, atol=1e-5)
    assert x_ICHW.is_contiguous(memory_format=torch.channels_last)


def test_normalising_leaves_the_pixels_alone_and_is_the_plain_formula_to_the_bit(cpu):
    images = Images(replace(make_source(), mean=(0.3, 0.5, 0.7), std=(0.2, 0.25, 0.3)), cpu)
    pixels = images.pixels(np.arange(9))
    before = pixels.clone()
    mean, std = torch.tensor([0.3, 0.5, 0.7]) * 255, torch.tensor([0.2, 0.25, 0.3]) * 255
    assert torch.equal(images.normalized(pixels), ((pixels - mean) / std).permute(0, 3, 1, 2))
    assert torch.equal(pixels, before)


def test_smaller_images_show_the_same(cpu):
    """Halved, each pixel is about the mean of the four it stands for."""
    images = Images(make_source(noise=0), cpu)
    indices_I, none, generator = np.arange(4), AUGMENTS["none"], torch.Generator()
    full = images.augmented(indices_I, none, generator)
    half = images.augmented(indices_I, none, generator, edge=8)
    assert half.shape == (4, 3, 8, 8)
    assert half.is_contiguous(memory_format=torch.channels_last)
    expected = torch.nn.functional.avg_pool2d(full, 2)
    # Its triangle reaches a little over the four pixels' edges.
    assert torch.corrcoef(torch.stack([half.flatten(), expected.flatten()]))[0, 1] > 0.9
    assert half.mean() == pytest.approx(full.mean().item(), abs=0.02)
    assert torch.equal(images.augmented(indices_I, none, generator, edge=16), full)


def test_a_batch_holds_support_first(cpu):
    source = make_source()
    images = Images(source, cpu)
    labelled = episode_indices(drawn(source), source.class_starts)
    batch = episode_batch(labelled, images, AUGMENTS["none"], torch.Generator())
    assert batch.n_support == 6
    assert batch.x_TMCHW.shape == (4, 6 + 12, 3, 16, 16)
    expected = images.normalized(images.pixels(labelled.indices.support_TS[2]))
    assert torch.equal(batch.x_TMCHW[2, :6], expected)
    assert batch.y_TM[1, 6:].tolist() == labelled.query_y_TQ[1].tolist()


def mapped(path, source, count=3000):
    """The source's classes over as many images, memory-mapped as a store's are."""
    rng = np.random.default_rng(0)
    np.save(path, rng.integers(0, 256, (count, *source.images_IHWC.shape[1:]), np.uint8))
    return np.load(path, mmap_mode="c")


def test_pages_of_images_are_given_back_beyond_the_memory_they_may_take(tmp_path, cpu, monkeypatch):
    whole = mapped(tmp_path / "images.npy", make_source())
    released = []
    monkeypatch.setattr("fewshot.machine.release_pages", lambda array: released.append(len(array)))
    rng = np.random.default_rng(1)
    batches = [rng.integers(0, len(whole), 50) for _ in range(20)]
    for memory_gb, times in ((None, 0), (1.0, 0), (2e6 / 2**30, 20), (1e-9, 20)):
        released.clear()
        images = Images(replace(make_source(), images_IHWC=whole), cpu, memory_gb)
        for some in batches:
            assert np.array_equal(images.pixels(some).numpy(), whole[some])
        assert len(released) == times, memory_gb


@pytest.mark.skipif(sys.platform != "linux", reason="the system tells what is mapped")
def test_released_pages_leave_the_process_and_come_back_unchanged(tmp_path):
    source = make_source()
    whole = mapped(tmp_path / "images.npy", source, count=20_000)
    before = resident_kb()
    total = int(whole.sum())
    assert resident_kb() - before > 10_000
    machine.release_pages(whole[5:])
    assert resident_kb() - before < 5_000
    assert int(whole.sum()) == total
    machine.release_pages(source.images_IHWC)  # not mapped: nothing happens


def resident_kb():
    """Pages of files that are in this process's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile"))
