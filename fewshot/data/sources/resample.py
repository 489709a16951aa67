"""Ways to bring an image to another size: those that the known data sets were made with."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from fewshot.errors import UserError

Resample = Callable[[np.ndarray, int], np.ndarray]


def _pillow(filter_: Image.Resampling) -> Resample:
    def resample(image_HWC: np.ndarray, size: int) -> np.ndarray:
        return np.asarray(Image.fromarray(image_HWC).resize((size, size), filter_))

    return resample


def _opencv(mode: str) -> Resample:
    """Resize as cv2.resize does: no low pass before shrinking, pixel centres aligned, a = -0.75."""

    def resample(image_HWC: np.ndarray, size: int) -> np.ndarray:
        import torch  # slow to import, and needed for these alone

        x_1CHW = torch.from_numpy(np.array(image_HWC)).permute(2, 0, 1)[None].float()
        y_1CHW = torch.nn.functional.interpolate(x_1CHW, (size, size), mode=mode)
        return y_1CHW[0].permute(1, 2, 0).round().clamp(0, 255).byte().contiguous().numpy()

    return resample


RESAMPLERS: dict[str, Resample] = {
    "bicubic": _pillow(Image.Resampling.BICUBIC),
    "bilinear": _pillow(Image.Resampling.BILINEAR),
    "lanczos": _pillow(Image.Resampling.LANCZOS),
    "box": _pillow(Image.Resampling.BOX),
    "cv2-bilinear": _opencv("bilinear"),
    "cv2-bicubic": _opencv("bicubic"),
}
"""Pillow's filters look at every pixel of the original (MAML's miniImageNet: lanczos); those named
after OpenCV do not (the cache pickles of miniImageNet: cv2-bilinear; tieredImageNet: cv2-bicubic).
"""


def fit(image_HWC: np.ndarray, size: int, resample: str | None, name: str) -> np.ndarray:
    """Return the image at `size` x `size` pixels, resampled if it has others.

    Raises UserError naming the image (`name`) if it has another size and `resample` is None.
    """
    height, width = image_HWC.shape[:2]
    if (height, width) == (size, size):
        return image_HWC
    if resample is None:
        raise UserError(
            f"{name}: {width}x{height} pixels, not {size}x{size}; --resample says how to change it"
        )
    return RESAMPLERS[resample](image_HWC, size)
