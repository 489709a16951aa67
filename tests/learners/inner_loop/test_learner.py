"""ANIL against the general inner loop, iMAML against a dense solve, and what both refuse."""

import warnings

import pytest
import torch
from helpers.episodes import N_WAY, SmoothNet, make_batch, relative_error
from helpers.learners import small_learner
from torch import nn
from torch.nn.functional import cross_entropy

from fewshot.backbones.conv4 import Conv4
from fewshot.errors import UserError
from fewshot.learners import imaml
from fewshot.learners.imaml import IMAML, IMAMLConfig, conjugate_gradients
from fewshot.learners.maml import MAML

every_mode = pytest.mark.parametrize("batch_norm", ["support", "query", "running"])


def make_learner(name: str, **options):
    return small_learner(name, n_classes=8, filters=6, **options).double().train()


def outer_gradients(learner, batch) -> dict[str, torch.Tensor]:
    learner.zero_grad()
    learner.loss(batch).backward()
    return {k: p.grad.clone() for k, p in learner.named_parameters()}


@every_mode
def test_anil_is_maml_on_the_head(batch_norm):
    """The oracle differentiates through gradient descent on the head by autograd alone."""
    learner = make_learner("anil", inner_steps=3, inner_lr=0.3, batch_norm=batch_norm)
    batch = make_batch(2)
    gradients = outer_gradients(learner, batch)
    learner.zero_grad()
    s, losses = batch.n_support, []
    plain = Conv4(Conv4.Config(6), 16).double()
    plain.load_state_dict(learner.backbone.state_dict())
    for x, y in zip(batch.x_TMCHW, batch.y_TM, strict=True):
        support_z = plain.train()(x[:s])
        if batch_norm == "support":
            # Statistics of the support: its images beside the queries, one query at a time in
            # effect, since nn.BatchNorm2d can only keep them without a gradient.
            query_z = with_support_statistics(plain, x[:s], x[s:])
        else:
            query_z = plain(x[s:])
        weight, bias = learner.head.weight, learner.head.bias
        for _ in range(3):
            loss = cross_entropy(support_z @ weight.T + bias, y[:s])
            slopes = torch.autograd.grad(loss, (weight, bias), create_graph=True)
            weight, bias = weight - 0.3 * slopes[0], bias - 0.3 * slopes[1]
        losses.append(cross_entropy(query_z @ weight.T + bias, y[s:]))
    torch.stack(losses).mean().backward()
    expected = {f"backbone.{k}": p.grad for k, p in plain.named_parameters()}
    expected |= {f"head.{k}": p.grad for k, p in learner.head.named_parameters()}
    assert relative_error(gradients, expected) < 1e-9


def with_support_statistics(backbone, support_x, query_x):
    """Features of the queries, each layer normalised by the moments of the support, by hand."""
    z_s, z_q = support_x, query_x
    for block in backbone.blocks:
        z_s, z_q = block.conv(z_s), block.conv(z_q)
        mean = z_s.mean((0, 2, 3), keepdim=True)
        var = z_s.var((0, 2, 3), correction=0, keepdim=True)
        scale, shift = block.norm.weight[:, None, None], block.norm.bias[:, None, None]
        z_s, z_q = (
            nn.functional.max_pool2d(((z - mean) / (var + 1e-5).sqrt() * scale + shift).relu(), 2)
            for z in (z_s, z_q)
        )
    return z_q.flatten(1)


@pytest.mark.parametrize("name", ["maml", "anil"])
def test_inductive_queries_are_normalised_by_the_support_alone(name):
    learner, batch = make_learner(name).eval(), make_batch(2)
    s = batch.n_support
    with torch.no_grad():
        state = learner.adapt(batch.x_TMCHW[:, :s], batch.y_TM[:, :s], N_WAY)
        together = learner.predict(state, batch.x_TMCHW[:, s:])
        alone = learner.predict(state, batch.x_TMCHW[:, s : s + 1])
    assert torch.allclose(together[:, :1], alone, atol=1e-12)


@pytest.mark.filterwarnings("ignore:iMAML")
@pytest.mark.parametrize("name", ["maml", "fomaml", "anil", "imaml"])
def test_running_statistics_move_towards_those_of_the_queries(name):
    learner = make_learner(name, batch_norm="running")
    learner.loss(make_batch(2))
    first = learner.backbone.blocks[0].norm
    assert not torch.equal(first.running_mean, torch.zeros_like(first.running_mean))
    assert not first.running_mean.requires_grad
    still = make_learner(name, batch_norm="support")
    still.loss(make_batch(2))
    assert torch.equal(still.backbone.blocks[0].norm.running_mean, torch.zeros(6).double())


class SmoothIMAML(IMAML):
    """iMAML on a net without kinks."""

    def __init__(self, config: IMAMLConfig) -> None:
        nn.Module.__init__(self)
        self.config, self.batch_norm, self.transductive = config, config.batch_norm, False
        self.net = SmoothNet()

    def forward(self, x):
        return self.net(x)


def test_the_implicit_gradient_is_that_of_the_dense_solve():
    options = {"proximal": 3.0, "inner_lr": 0.2, "inner_steps": 100, "batch_norm": "query"}
    learner = SmoothIMAML(IMAMLConfig(**options, cg_steps=600, cg_tolerance=1e-12))
    batch = make_batch(1, 8)
    gradients = outer_gradients(learner, batch)
    s, (x,), (y,) = batch.n_support, batch.x_TMCHW, batch.y_TM
    names = [k for k, _ in learner.named_parameters()]
    shapes = [p.shape for p in learner.parameters()]
    start = torch.cat([p.detach().flatten() for p in learner.parameters()])

    def loss_of(flat, x, y):
        pieces = flat.split([shape.numel() for shape in shapes])
        weights = {k: p.view(sh) for k, p, sh in zip(names, pieces, shapes, strict=True)}
        return cross_entropy(torch.func.functional_call(learner, weights, (x,)), y)

    flat = start
    for _ in range(100):
        slope = torch.func.grad(loss_of)(flat, x[:s], y[:s])
        flat = flat - 0.2 * (slope + 3.0 * (flat - start))
    hessian = torch.autograd.functional.hessian(lambda w: loss_of(w, x[:s], y[:s]), flat)
    right = torch.func.grad(loss_of)(flat, x[s:], y[s:])
    expected = torch.linalg.solve(torch.eye(len(flat)).double() + hessian / 3.0, right)
    got = torch.cat([gradients[k].flatten() for k in names])
    assert (got - expected).norm() / expected.norm() < 1e-6


def test_conjugate_gradients_solve_several_systems_at_once():
    g = torch.Generator().manual_seed(0)
    root = torch.randn(3, 12, 12, generator=g, dtype=torch.float64)
    matrices = root @ root.mT + torch.eye(12)
    right = torch.randn(3, 12, generator=g, dtype=torch.float64)
    right[1] = 0
    solved = conjugate_gradients(
        lambda x: torch.einsum("tij,tj->ti", matrices, x), right, 40, 1e-12, right
    )
    assert torch.allclose(solved.x_TP, torch.linalg.solve(matrices, right), atol=1e-9)
    assert (solved.residual_T < 1e-10).all()


def test_conjugate_gradients_hold_still_at_their_rounding():
    """In float32, asked for more than it can tell."""
    g = torch.Generator().manual_seed(0)
    root = torch.randn(4, 12, 12, generator=g)
    matrices, right = root @ root.mT / 12 + torch.eye(12), torch.randn(4, 12, generator=g)
    x_TP, _ = conjugate_gradients(
        lambda x: torch.einsum("tij,tj->ti", matrices, x), right, 500, 0.0, right
    )
    assert torch.allclose(x_TP, torch.linalg.solve(matrices, right), atol=1e-5)


def test_negative_curvature_leaves_the_first_order_gradient():
    right = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    otherwise = right / 4
    solved = conjugate_gradients(lambda x: x * torch.tensor([-1.0, 2.0]), right, 5, 1e-6, otherwise)
    assert torch.equal(solved.x_TP, torch.tensor([[0.25, 0.0], [0.0, 0.5]]))
    assert solved.residual_T.tolist() == [1.0, 0.0]


def test_without_curvature_the_meta_gradient_is_the_damped_first_order_one(monkeypatch):
    """Whether conjugate gradients solved that system, or gave up on it: one and the same length."""
    batch, given = make_batch(1), []
    solve = imaml.conjugate_gradients

    def kept(operator, right_TP, steps, tolerance, otherwise_TP):
        given.append((right_TP, otherwise_TP))
        return solve(operator, right_TP, steps, tolerance, otherwise_TP)

    monkeypatch.setattr(imaml, "conjugate_gradients", kept)
    make_learner("imaml", damping=3.0, cg_tolerance=1e9).loss(batch)
    flat = [solve(lambda x: 4 * x, right, 5, 1e-9, 0 * right).x_TP for right, _ in given]
    for solved, (_, otherwise) in zip(flat, given, strict=True):
        assert torch.allclose(solved, otherwise)


def test_conjugate_gradients_that_do_not_converge_are_told():
    with pytest.warns(UserWarning, match="1 steps of conjugate gradients leave a residual above"):
        make_learner("imaml", cg_steps=1, cg_tolerance=1e-9).loss(make_batch(1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_learner("imaml", cg_steps=60, cg_tolerance=0.5, proximal=50).loss(make_batch(1))


def test_a_head_of_other_ways_is_refused():
    learner, batch = make_learner("maml", n_way=3), make_batch(1)
    with pytest.raises(UserError, match="set learner_options.n_way = 5"):
        learner.loss(batch)


@pytest.mark.parametrize("options", [{"batch_norm": "running"}, {"checkpoint": True}])
def test_engines_of_others_refuse_what_they_cannot_do(options):
    with pytest.raises(UserError, match="choose 'loop' or 'vmap'"):
        make_learner("maml", engine="higher", **options)


def test_the_engine_is_a_choice_that_changes_no_gradient():
    batch = make_batch(2)
    by_loop = outer_gradients(make_learner("maml", engine="loop"), batch)
    by_vmap = outer_gradients(make_learner("maml", engine="vmap", episodes_at_once=1), batch)
    assert relative_error(by_vmap, by_loop) < 1e-12
    assert isinstance(make_learner("fomaml"), MAML)
