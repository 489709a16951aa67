"""A function of tensors recorded as a CUDA graph: thousands of kernels started by one call."""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import torch
from torch import Tensor

WARMUPS = 3  # before recording, so that libraries have chosen their kernels


class Recording(NamedTuple):
    """A graph with the tensors that it reads and what it writes."""

    graph: torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    output: Any


class Graphed:
    """A function that is recorded at its first call with tensors of some shapes, then replayed.

    Its output is overwritten by its next call. What else it reads, such as parameters, is read
    where it lay at the recording: it must be changed in place, as optimizers do. `static`
    arguments are passed on; other values of them are another recording.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._recordings: dict[Hashable, Recording] = {}

    def __call__(self, *tensors: Tensor, **static: Hashable) -> Any:
        shapes = tuple((t.shape, t.stride(), t.dtype) for t in tensors)
        key = (shapes, tuple(sorted(static.items())))
        if key not in self._recordings:
            self._recordings[key] = self._record(tensors, static)
        recording = self._recordings[key]
        for own, given in zip(recording.inputs, tensors, strict=True):
            own.copy_(given)
        recording.graph.replay()
        return recording.output

    def _record(self, tensors: tuple[Tensor, ...], static: dict[str, Hashable]) -> Recording:
        inputs = tuple(t.clone() for t in tensors)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARMUPS):
                self._function(*inputs, **static)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = self._function(*inputs, **static)
        return Recording(graph, inputs, output)
