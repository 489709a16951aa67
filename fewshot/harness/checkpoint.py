"""How far a training has come, noted now and then, so that the next run goes on from there."""

import pickle
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

EVERY_S = 300.0  # between two notes: what an interrupt costs at most


class TrainingCheckpoint:
    """One file, whose last note stays whole whatever happens to the next.

    of: what the training is made from and runs on. A note of anything else is not gone on from: its
    weights would be of other images, or its times of two machines.
    """

    def __init__(self, path: Path, of: Mapping[str, Any], every_s: float = EVERY_S) -> None:
        self._path, self._new = path, path.with_name(path.name + ".new")
        self._of, self._every_s = dict(of), every_s
        self._noted_at = time.monotonic()

    def is_due(self) -> bool:
        """Whether the last note, or the beginning, is long enough ago."""
        return time.monotonic() - self._noted_at >= self._every_s

    def write(self, state: Mapping[str, Any]) -> None:
        """Note this state in place of the last: tensors, numbers, text, lists and dicts."""
        torch.save({"of": self._of, "state": dict(state)}, self._new)
        self._new.replace(self._path)
        self._noted_at = time.monotonic()

    def read(self) -> dict[str, Any] | None:
        """The last note, its tensors on the CPU; None if there is none of this training."""
        try:
            note = torch.load(self._path, "cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
            return None
        state: dict[str, Any] = note["state"]
        return state if note["of"] == self._of else None

    def forget(self) -> None:
        """Remove the note, and what a kill left of the next."""
        for path in (self._path, self._new):
            path.unlink(missing_ok=True)
