"""The speed of the machine at hand: operations a second of a backbone, timed for a second or two.

Hours of a training are its operations over this rate. Augmentation, optimiser and heads fitted on
features are left out of it, as small beside the backbone; the small batches of inner loops run
below it: expect a factor of up to 2.
"""

import torch
from torch import Tensor

from fewshot.backbones.precision import float32_products
from fewshot.harness.clock import Clock
from fewshot.protocols import Backbone
from fewshot.runner.build import Classes, build_backbone
from fewshot.runner.cells import Training
from fewshot.runner.dry_run.flops import one_thread, unit_flops

TIMED_S = 0.6  # in all, for a backbone at one batch size and number of threads
FEWEST = 4  # images
ENOUGH = 64  # images, beyond which a CPU is no faster


class Rates:
    """Operations a second of backbones on a device, each timed once."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._timed: dict[str, _Timed] = {}

    def of(self, training: Training, classes: Classes, image_size: int, images: int) -> float:
        """Return the rate of a training's backbone, forward and backward over images of a size."""
        if self._device.type == "cpu":
            images = ENOUGH
        t, computed = training, training.recipe.arithmetic
        own_norm = classes.learner.differentiable_norm
        key = f"{t.backbone} {t.backbone_options} {computed} {own_norm} {image_size}"
        if key not in self._timed:
            flops = unit_flops(training, classes, image_size)
            backbone = build_backbone(training, classes, image_size).to(self._device)
            self._timed[key] = _Timed(backbone, image_size, flops, self._device)
        with float32_products(tf32=t.recipe.precision == "tf32"):
            return self._timed[key].rate(images)


class _Timed:
    """A backbone and its rates by the number of images; `flops` are those of one image."""

    def __init__(
        self, backbone: Backbone, image_size: int, flops: float, device: torch.device
    ) -> None:
        self._backbone = backbone.to(memory_format=torch.channels_last).train()
        self._image_size, self._flops, self._clock = image_size, flops, Clock(device)
        self._device = device
        self._rates: dict[int, float] = {}
        self._seconds(FEWEST)  # a first pass is slow whatever comes after

    def rate(self, images: int) -> float:
        """Return the better rate of all threads and of one: on a busy machine threads wait."""
        bucket = 1 << (max(images, FEWEST).bit_length() - 1)
        if bucket not in self._rates:
            best = self._best(bucket)
            if self._device.type == "cpu" and torch.get_num_threads() > 1:
                with one_thread():
                    best = max(best, self._best(bucket))
            self._rates[bucket] = best
        return self._rates[bucket]

    def _best(self, most: int) -> float:
        """Return the best rate of ever larger batches, up to `most` images, while time allows."""
        n, spent_s, best = FEWEST, 0.0, 0.0
        while spent_s < TIMED_S:
            seconds = self._seconds(n)
            best = max(best, n * self._flops / seconds)
            spent_s += seconds
            if seconds < TIMED_S / 4:
                n = min(most, 2 * n)
        return best

    def _seconds(self, images: int) -> float:
        shape = (images, 3, self._image_size, self._image_size)
        x_ICHW = torch.randn(shape, device=self._device).to(memory_format=torch.channels_last)
        start = self._clock.now()
        z_ID: Tensor = self._backbone(x_ICHW)
        z_ID.sum().backward()
        return self._clock.now() - start
