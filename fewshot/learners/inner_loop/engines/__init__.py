"""Engines of the inner loop by name: different ways to the same outer gradient."""

from fewshot.learners.inner_loop.engines.own import loop, vmap
from fewshot.learners.inner_loop.engines.peers import higher, learn2learn
from fewshot.learners.inner_loop.outer import Engine

ENGINES: dict[str, Engine] = {
    engine.__name__: engine for engine in (loop, vmap, higher, learn2learn)
}
