"""Checkpoints of a training underway, so that a run after an interrupt goes on from there."""

import pickle
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

EVERY_S = 300.0  # between two notes: what an interrupt costs at most


class Stateful(Protocol):
    """A part of a training whose state can be noted and given back."""

    def state_dict(self) -> Any: ...

    def load_state_dict(self, state_dict: Any, /) -> Any: ...


class Counts:
    """The base of dataclasses whose fields are their state."""

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)  # type: ignore[call-overload]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


class RandomStreams:
    """The streams that a training draws from: the augmentation's, and torch's own (dropout)."""

    def __init__(self, augmentation: torch.Generator) -> None:
        self._generators = {"augmentation": augmentation, "cpu": torch.default_generator}
        device = augmentation.device
        if device.type == "cuda":
            index = torch.cuda.current_device() if device.index is None else device.index
            self._generators["cuda"] = torch.cuda.default_generators[index]

    def state_dict(self) -> dict[str, Tensor]:
        return {name: generator.get_state() for name, generator in self._generators.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name, generator in self._generators.items():
            generator.set_state(state[name])


class TrainingCheckpoint:
    """A file that holds the last note of a training, whole whatever happens to the next note.

    of: what the training is made from and runs on. A note of another training is left alone: its
    weights would be of other images, or its times of two machines.
    """

    def __init__(self, path: Path, of: Mapping[str, Any], every_s: float = EVERY_S) -> None:
        self._path, self._new = path, path.with_name(path.name + ".new")
        self._of, self._every_s = dict(of), every_s
        self._noted_at = time.monotonic()

    def is_due(self) -> bool:
        """Say whether the last note, or the beginning, is long enough ago."""
        return time.monotonic() - self._noted_at >= self._every_s

    def read(self) -> dict[str, Any] | None:
        """Return the last note, its tensors on the CPU; None if there is none of this training."""
        try:
            note = torch.load(self._path, "cpu", weights_only=True)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
            return None
        state: dict[str, Any] = note["state"]
        return state if note["of"] == self._of else None

    def save(self, parts: Mapping[str, Stateful]) -> None:
        """Note the states of these parts by name, in place of the last note, for `restore`."""
        state = {name: part.state_dict() for name, part in parts.items()}
        torch.save({"of": self._of, "state": state}, self._new)
        self._new.replace(self._path)
        self._noted_at = time.monotonic()

    def restore(self, parts: Mapping[str, Stateful]) -> bool:
        """Give the parts their states in the last note, by name; say whether there was a note."""
        note = self.read()
        if note is None:
            return False
        for name, part in parts.items():
            part.load_state_dict(note[name])
        return True

    def forget(self) -> None:
        """Remove the note, and what a kill left of the next."""
        for path in (self._path, self._new):
            path.unlink(missing_ok=True)
