"""Outer gradients: engine against engine, against finite differences, and in parts."""

from functools import partial
from importlib.util import find_spec
from itertools import product

import pytest
import torch
from helpers.episodes import SmallNet, make_batch, relative_error
from torch import nn
from torch.func import functional_call

from fewshot.errors import UserError
from fewshot.learners.inner_loop.algebra import InnerLoop
from fewshot.learners.inner_loop.engines import ENGINES
from fewshot.learners.inner_loop.engines.own import vmap

needs_learn2learn = pytest.mark.skipif(
    find_spec("learn2learn") is None, reason="learn2learn is in the environment `peers`"
)
others = pytest.mark.parametrize(
    "name",
    ["vmap", "higher", pytest.param("learn2learn", marks=needs_learn2learn)],
)
every_mode = pytest.mark.parametrize("batch_norm", ["support", "query", "running"])
# What learn2learn and higher import warns of things that are theirs.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning")


@others
@every_mode
@pytest.mark.parametrize("steps", [1, 5, pytest.param(10, marks=pytest.mark.slow)])
def test_engines_agree(name, batch_norm, steps):
    net = SmallNet()
    for n_episodes, first_order, per_step in product((1, 4), (False, True), (False, True)):
        inner = InnerLoop(0.05, steps, first_order, batch_norm, per_step)
        batch = make_batch(n_episodes)
        reference, outer = ENGINES["loop"](net, batch, inner), ENGINES[name](net, batch, inner)
        assert relative_error(outer.gradients, reference.gradients) < 1e-9
        assert outer.loss == pytest.approx(reference.loss.item(), rel=1e-12)


@others
@pytest.mark.slow
@every_mode
@pytest.mark.parametrize("steps", [1, 5, 10])
def test_engines_agree_for_conv4_with_64_filters(name, batch_norm, steps):
    net, batch = SmallNet(32, 64), make_batch(4, 32, n_shot=5)
    inner = InnerLoop(0.05, steps, batch_norm=batch_norm)
    reference, outer = ENGINES["loop"](net, batch, inner), ENGINES[name](net, batch, inner)
    assert relative_error(outer.gradients, reference.gradients) < 1e-9


def test_vmap_over_pytorchs_batch_norm_would_be_wrong():
    """Why the suite brings its own: second-order gradients go wrong without a word."""

    def outer_gradient(norm, batched):
        net = SmallNet(norm=norm)
        start = {k: p.detach() for k, p in net.named_parameters()}
        batch = make_batch(3)
        s = batch.n_support
        grad = torch.func.grad

        def loss(weights, x, y):
            return nn.functional.cross_entropy(functional_call(net, weights, (x,)), y)

        def outer(weights, x, y):
            slopes = grad(loss)(weights, x[:s], y[:s])
            adapted = {k: w - 0.5 * slopes[k] for k, w in weights.items()}
            return loss(adapted, x[s:], y[s:])

        if batched:
            together = torch.vmap(outer, in_dims=(None, 0, 0))
            return grad(lambda weights: together(weights, *batch[:2]).mean())(start)
        each = [grad(outer)(start, x, y) for x, y in zip(*batch[:2], strict=True)]
        return {k: torch.stack([g[k] for g in each]).mean(0) for k in start}

    def error(norm):
        return relative_error(outer_gradient(norm, True), outer_gradient(norm, False))

    assert error(lambda c: nn.BatchNorm2d(c, track_running_stats=False)) > 1e-4

    class Stateless(nn.Module):  # the suite's, with its buffers left alone
        def __init__(self, c):
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.ones(c)), nn.Parameter(torch.zeros(c))

        def forward(self, x):
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
            scale = (self.weight * torch.rsqrt(var + 1e-5))[:, None, None]
            return (x - mean[:, None, None]) * scale + self.bias[:, None, None]

    assert error(Stateless) < 1e-12


@pytest.mark.skipif(find_spec("learn2learn") is not None, reason="learn2learn is here")
def test_asking_for_learn2learn_without_it_says_how_to_get_it():
    with pytest.raises(UserError, match="pip install learn2learn --use-pep517"):
        ENGINES["learn2learn"](SmallNet(), make_batch(1), InnerLoop(0.05, 1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_recorded_graph_replays_the_engine():
    from fewshot.learners.inner_loop.engines.graphed import Graphed

    device, inner = torch.device("cuda"), InnerLoop(0.05, 3)
    net, batch = SmallNet().to(device), make_batch(4)
    engine = partial(vmap, net)
    moved = [t.to(device) for t in batch[:3]]
    graph = Graphed(lambda *t: engine(batch._replace(x_TMCHW=t[0], y_TM=t[1]), inner))
    for shift in (0.0, 1.0):
        moved[0] = moved[0] + shift
        plain = engine(batch._replace(x_TMCHW=moved[0], y_TM=moved[1]), inner)
        assert relative_error(graph(*moved).gradients, plain.gradients) < 1e-12
        with torch.no_grad():  # changed in place, as an optimizer does
            for parameter in net.parameters():
                parameter.mul_(1.1)
