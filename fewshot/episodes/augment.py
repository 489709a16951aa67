"""Random changes of a batch of images, all images at once, on the device that holds them.

Every function is an `Augment`: uint8 images (I, H, W, C) in and out, and all randomness from a
`torch.Generator` on the same device, so that a seed fixes the result. Each image has draws of
its own.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

JITTER = 0.4


def none(x_IHWC: Tensor, generator: torch.Generator) -> Tensor:
    """Return the images as they came."""
    return x_IHWC


def crop_padding(image_size: int) -> int:
    """Return the zeros to add on each side: 4 up to 32 pixels, else 8 (Lee et al., 2019)."""
    return 4 if image_size <= 32 else 8


def crop_flip(x_IHWC: Tensor, generator: torch.Generator) -> Tensor:
    """Pad with zeros, crop to the old size at a random place, mirror half of the images.

    x_IHWC: uint8 (I, H, W, C), square images; the result has the same shape and type.
    """
    (n_images, height, width, n_channels), device = x_IHWC.shape, x_IHWC.device
    pad = crop_padding(height)
    offsets_2I = torch.randint(2 * pad + 1, (2, n_images), generator=generator, device=device)
    top_I, left_I = offsets_2I
    mirrored_I = torch.rand(n_images, generator=generator, device=device) < 0.5
    # All images, and all of them mirrored: a mirrored crop is one from the other side of those.
    padded = F.pad(torch.cat([x_IHWC, x_IHWC.flip(2)]), (0, 0, pad, pad, pad, pad))
    padded_height, padded_width = padded.shape[1:3]
    image_I = torch.arange(n_images, device=device) + n_images * mirrored_I
    left_I = torch.where(mirrored_I, 2 * pad - left_I, left_I)
    line_IH = (image_I * padded_height + top_I)[:, None] + torch.arange(height, device=device)
    # A line of a crop lies in one piece and can be copied whole: as one of the (overlapping)
    # lines that start at each pixel.
    n_lines = max(padded[..., 0].numel() - width + 1, 0)
    lines = padded.flatten().as_strided((n_lines, width * n_channels), (n_channels, 1))
    chosen = lines.index_select(0, (line_IH * padded_width + left_I[:, None]).flatten())
    return chosen.view(x_IHWC.shape)


def crop_flip_jitter(x_IHWC: Tensor, generator: torch.Generator) -> Tensor:
    """Apply `crop_flip`, then scale brightness, contrast and saturation each by U(0.6, 1.4).

    x_IHWC: uint8 RGB (I, H, W, 3), square images; the result has the same shape and type.
    The training recipe of "Meta-Learning with Differentiable Convex Optimization" (Lee et al.,
    2019): crop, ColorJitter(0.4, 0.4, 0.4), flip; a flip may as well come before the jitter,
    which does not see where a pixel is.

    A deviation: torchvision's ColorJitter applies the three in a random order for each image,
    here it is always brightness, contrast, saturation, and pixels are rounded once, at the end.
    """
    x_IHWC = crop_flip(x_IHWC, generator)
    factors_3I = torch.empty(3, len(x_IHWC), device=x_IHWC.device)
    factors_3I.uniform_(1 - JITTER, 1 + JITTER, generator=generator)
    return _jitter(x_IHWC, *factors_3I)


AUGMENTS = {"none": none, "crop_flip": crop_flip, "crop_flip_jitter": crop_flip_jitter}
"""The `Augment` of each name in benchmarks."""


def _jitter(
    x_IHWC: Tensor, brightness_I: Tensor, contrast_I: Tensor, saturation_I: Tensor
) -> Tensor:
    """Scale brightness, then contrast, then saturation; a factor of 1 changes nothing."""
    brightness, contrast, saturation = (
        factor_I[:, None, None, None] for factor_I in (brightness_I, contrast_I, saturation_I)
    )
    x = (x_IHWC * brightness).clamp_(0, 255)
    # Contrast pulls towards the mean grey of the image, saturation towards each pixel's grey.
    mean_grey = _grey(x.mean((1, 2), keepdim=True))
    x = x.mul_(contrast).add_(mean_grey * (1 - contrast)).clamp_(0, 255)
    grey = _grey(x)
    x = x.mul_(saturation).add_(grey * (1 - saturation)).clamp_(0, 255)
    return x.round_().to(torch.uint8)


def _grey(x_IHWC: Tensor) -> Tensor:
    """Return the ITU-R 601 luma of RGB pixels, (I, H, W, 1), as Pillow and torchvision weigh it."""
    red, green, blue = (x_IHWC[..., i : i + 1] for i in range(3))
    return 0.299 * red + 0.587 * green + 0.114 * blue
