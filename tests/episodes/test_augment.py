"""Augmentation: every result is a crop and flip, draws are fair, colours agree with torchvision."""

import pytest
import torch
import torchvision.transforms.functional as tvf
from torch import Tensor

from fewshot.episodes import augment
from fewshot.episodes.augment import AUGMENTS, crop_flip, crop_flip_jitter, crop_padding


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _images(n_images: int, size: int, seed: int = 0) -> Tensor:
    return torch.randint(
        0, 256, (n_images, size, size, 3), dtype=torch.uint8, generator=_generator(seed)
    )


def _find_crop(out_HWC: Tensor, x_HWC: Tensor, pad: int) -> list[tuple[int, int, bool]]:
    """Every (top, left, mirrored) that makes `out` of `x`, by brute force."""
    size = len(x_HWC)
    padded = torch.zeros(size + 2 * pad, size + 2 * pad, 3, dtype=torch.uint8)
    padded[pad : pad + size, pad : pad + size] = x_HWC
    return [
        (top, left, mirrored)
        for top in range(2 * pad + 1)
        for left in range(2 * pad + 1)
        for mirrored in (False, True)
        if torch.equal(
            out_HWC.flip(1) if mirrored else out_HWC, padded[top : top + size, left : left + size]
        )
    ]


@pytest.mark.parametrize("name", AUGMENTS)
@pytest.mark.parametrize("size", [8, 32, 84])
def test_keeps_shape_type_and_input(name: str, size: int) -> None:
    x = _images(5, size)
    before = x.clone()
    out = AUGMENTS[name](x, _generator())
    assert out.shape == x.shape
    assert out.dtype == torch.uint8
    assert out.is_contiguous()
    assert torch.equal(x, before)


@pytest.mark.parametrize("name", AUGMENTS)
def test_the_generator_alone_decides(name: str) -> None:
    x = _images(6, 16)
    first = AUGMENTS[name](x, _generator(3))
    torch.manual_seed(12345)
    assert torch.equal(first, AUGMENTS[name](x, _generator(3)))
    if name != "none":
        assert not torch.equal(first, AUGMENTS[name](x, _generator(4)))


def test_none_is_the_identity_and_draws_nothing() -> None:
    generator = _generator()
    state = generator.get_state()
    x = _images(3, 8)
    assert torch.equal(AUGMENTS["none"](x, generator), x)
    assert torch.equal(generator.get_state(), state)


def test_padding_is_that_of_the_papers() -> None:
    assert [crop_padding(size) for size in (8, 32, 84)] == [4, 4, 8]


def test_every_image_is_a_crop_of_its_own_padded_image() -> None:
    x = _images(40, 8)
    out = crop_flip(x, _generator())
    assert all(len(_find_crop(out[i], x[i], 4)) == 1 for i in range(len(x)))


def test_wide_padding_at_84_pixels() -> None:
    x = _images(2, 84)
    out = crop_flip(x, _generator())
    assert all(len(_find_crop(out[i], x[i], 8)) == 1 for i in range(2))


def test_every_offset_occurs_and_half_are_mirrored() -> None:
    # An image whose pixels are all different names its crop by its pixel in the middle.
    n_images = 4000
    row, column = torch.meshgrid(torch.arange(9), torch.arange(9), indexing="ij")
    one = torch.stack([row + 1, column + 1, torch.zeros_like(row)], 2).to(torch.uint8)
    out = crop_flip(one.expand(n_images, -1, -1, -1), _generator())
    centre = out[:, 4, 4, :2].long()
    counts = torch.zeros(10, 10, dtype=torch.int64)
    counts.index_put_((centre[:, 0], centre[:, 1]), torch.ones(n_images).long(), accumulate=True)
    # Nine offsets each way: 4000 / 81 = 49 expected, standard deviation 7.
    assert counts[1:, 1:].min() > 15
    assert counts[1:, 1:].max() < 90
    # Columns count up from left to right, and down where mirrored.
    before, at, after = (out[:, 4, 3, 1].int(), out[:, 4, 4, 1].int(), out[:, 4, 5, 1].int())
    mirrored = (before == at + 1) | (after == at - 1)
    assert abs(mirrored.float().mean().item() - 0.5) < 0.03


def _n_different(x_I: Tensor) -> int:
    return len({image.numpy().tobytes() for image in x_I})


def test_images_get_draws_of_their_own() -> None:
    x = _images(1, 16).expand(64, -1, -1, -1)
    assert _n_different(crop_flip(x, _generator())) > 40
    constant = torch.full((64, 16, 16, 3), 100, dtype=torch.uint8)
    centre = crop_flip_jitter(constant, _generator())[:, 8, 8]
    assert _n_different(centre) > 30


def test_a_constant_image_stays_constant_inside_the_padding() -> None:
    x = torch.full((20, 32, 32, 3), 100, dtype=torch.uint8)
    assert (crop_flip(x, _generator())[:, 4:28, 4:28] == 100).all()
    inside = crop_flip_jitter(x, _generator())[:, 4:28, 4:28]
    assert (inside == inside[:, :1, :1]).all()


def test_factors_of_one_change_no_pixel() -> None:
    x = _images(4, 8)
    ones = torch.ones(4)
    assert torch.equal(augment._jitter(x, ones, ones, ones), x)


ADJUSTMENTS = [tvf.adjust_brightness, tvf.adjust_contrast, tvf.adjust_saturation]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_each_adjustment_agrees_with_torchvision(which: int) -> None:
    x = _images(12, 16, seed=which)
    factors_3I = torch.ones(3, 12)
    factors_3I[which] = torch.linspace(0.6, 1.4, 12)
    ours = augment._jitter(x, *factors_3I).int()
    for i in range(12):
        adjusted = ADJUSTMENTS[which](x[i].permute(2, 0, 1), factors_3I[which, i].item())
        assert (ours[i] - adjusted.permute(1, 2, 0).int()).abs().max() <= 2


def test_the_three_together_agree_with_torchvision() -> None:
    x = _images(32, 16)
    factors_3I = torch.rand(3, 32, generator=_generator(1)) * 0.8 + 0.6
    ours = augment._jitter(x, *factors_3I).int()
    for i in range(32):
        # In float, so that torchvision does not cut to whole numbers between the steps.
        image = x[i].permute(2, 0, 1) / 255
        for adjust, factor in zip(ADJUSTMENTS, factors_3I[:, i].tolist(), strict=True):
            image = adjust(image, factor)
        assert (ours[i] - 255 * image.permute(1, 2, 0)).abs().max() <= 1


def test_jitter_is_drawn_over_the_whole_range(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def record(x_IHWC: Tensor, *factors: Tensor) -> Tensor:
        seen.append(torch.stack(factors))
        return x_IHWC

    monkeypatch.setattr(augment, "_jitter", record)
    crop_flip_jitter(_images(1000, 4), _generator())
    factors_3I = seen[0]
    assert factors_3I.shape == (3, 1000)
    assert factors_3I.min() >= 0.6
    assert factors_3I.max() <= 1.4
    assert (factors_3I.amin(1) < 0.61).all()
    assert (factors_3I.amax(1) > 1.39).all()
    assert torch.corrcoef(factors_3I).triu(1).abs().max() < 0.15
