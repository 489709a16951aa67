"""Engines of the inner loop by name: different ways to the same outer gradient."""

from fewshot.learners.inner_loop.engines.higher import higher
from fewshot.learners.inner_loop.engines.learn2learn import learn2learn
from fewshot.learners.inner_loop.engines.loop import loop
from fewshot.learners.inner_loop.engines.vmap import vmap
from fewshot.learners.inner_loop.outer import Engine

ENGINES: dict[str, Engine] = {
    "loop": loop,
    "vmap": vmap,
    "higher": higher,
    "learn2learn": learn2learn,
}
