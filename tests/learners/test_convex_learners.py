"""MetaOptNet and R2D2: heads as their papers define them, and losses that reach all they learn."""

import numpy as np
import pytest
import torch
from helpers.episodes import N_WAY, make_batch
from helpers.learners import small_learner
from sklearn.linear_model import Ridge
from sklearn.svm import LinearSVC
from torch import nn
from torch.nn.functional import log_softmax, one_hot

from fewshot.heads import svm

CONVEX = ("metaoptnet-svm", "metaoptnet-ridge", "r2d2")
every_convex = pytest.mark.parametrize("name", CONVEX)


def make_learner(name: str, **options):
    return small_learner(name, n_classes=8, filters=6, **options).double()


def features(learner, batch):
    """Of support and query images, in one pass."""
    with torch.no_grad():
        z_TMD = learner.embed(batch.x_TMCHW.flatten(0, 1)).unflatten(0, batch.y_TM.shape)
    return z_TMD[:, : batch.n_support], z_TMD[:, batch.n_support :]


def head_logits(learner, batch):
    support_z, query_z = features(learner, batch)
    with torch.no_grad():
        state = learner.adapt_features(support_z, batch.y_TM[:, : batch.n_support], N_WAY)
        return learner.predict_features(state, query_z)


def test_metaoptnet_ridge_is_scikit_learns_without_an_intercept():
    learner, batch = make_learner("metaoptnet-ridge", penalty=3.0, scale=2.0).eval(), make_batch(2)
    found = head_logits(learner, batch)
    for t, (support_z, query_z) in enumerate(zip(*features(learner, batch), strict=True)):
        target = np.eye(N_WAY)[batch.y_TM[t, : batch.n_support].numpy()]
        model = Ridge(alpha=3.0, fit_intercept=False).fit(support_z.numpy(), target)
        assert np.allclose(found[t].numpy(), 2 * model.predict(query_z.numpy()))


def test_r2d2_is_scikit_learns_on_scaled_data_with_a_column_of_ones():
    """The paper's: X and Y over the root of S, the intercept under the penalty too."""
    learner, batch = make_learner("r2d2", penalty=0.4, scale=7.0).eval(), make_batch(2)
    found = head_logits(learner, batch)
    root = batch.n_support**0.5
    for t, (support_z, query_z) in enumerate(zip(*features(learner, batch), strict=True)):
        target = np.eye(N_WAY)[batch.y_TM[t, : batch.n_support].numpy()]
        ones = np.ones((batch.n_support, 1))
        x = np.hstack([support_z.numpy(), ones]) / root
        model = Ridge(alpha=0.4, fit_intercept=False, tol=1e-12).fit(x, target / root)
        query = np.hstack([query_z.numpy(), np.ones((len(query_z), 1))])
        # Weights of the support scaled by its own root apply to queries as they are.
        assert np.allclose(found[t].numpy(), 7 * model.predict(query), rtol=1e-5)


def test_metaoptnet_svm_is_the_kernel_between_queries_and_dual_variables():
    learner, batch = make_learner("metaoptnet-svm", c=0.3, scale=2.0).eval(), make_batch(2)
    support_z, query_z = features(learner, batch)
    alpha = svm.fit(support_z, batch.y_TM[:, : batch.n_support], N_WAY, 0.3, 1.0).alpha_TSN
    assert torch.allclose(head_logits(learner, batch), 2 * query_z @ support_z.mT @ alpha)


def test_metaoptnet_svm_agrees_with_scikit_learn_where_the_ridge_vanishes():
    """LinearSVC knows no ridge on the dual; its stopping rule is a loose one, hence the margin."""
    g = torch.Generator().manual_seed(0)
    y_S = torch.arange(N_WAY).repeat_interleave(6)
    centre = torch.randn(N_WAY, 12, generator=g, dtype=torch.float64)
    z_SD = centre[y_S] + torch.randn(len(y_S), 12, generator=g, dtype=torch.float64)
    alpha = svm.fit(z_SD[None], y_S[None], N_WAY, c=0.2, ridge=1e-6).alpha_TSN[0]
    model = LinearSVC(
        multi_class="crammer_singer", C=0.2, fit_intercept=False, tol=1e-8, max_iter=1_000_000
    )
    expected = model.fit(z_SD.numpy(), y_S.numpy()).coef_
    assert np.allclose((z_SD.mT @ alpha).mT.numpy(), expected, atol=1e-4)


@every_convex
def test_the_loss_is_the_cross_entropy_of_the_queries(name):
    learner, batch = make_learner(name).train(), make_batch(2)
    loss = learner.loss(batch)
    support_z, query_z = (
        z.detach() for z in learner.embed_episodes(batch.x_TMCHW).split([10, 15], 1)
    )
    state = learner.adapt_features(support_z, batch.y_TM[:, :10], N_WAY)
    log_p = log_softmax(learner.predict_features(state, query_z), -1)
    expected = -(log_p * one_hot(batch.y_TM[:, 10:], N_WAY)).sum(-1).mean()
    assert loss.item() == pytest.approx(expected.item())


@pytest.mark.parametrize("name", ["metaoptnet-svm", "metaoptnet-ridge"])
def test_smoothed_labels_leave_the_label_its_share_and_the_others_theirs(name):
    """Lee et al.: 1 - e for the label, e / (N - 1) for each other class."""
    batch = make_batch(2)
    plain, smooth = (
        make_learner(name, label_smoothing=s).train().loss(batch).item() for s in (0.0, 0.1)
    )
    learner = make_learner(name).train()
    z = learner.embed_episodes(batch.x_TMCHW)
    state = learner.adapt_features(z[:, :10], batch.y_TM[:, :10], N_WAY)
    log_p = log_softmax(learner.predict_features(state, z[:, 10:]), -1)
    target = torch.full_like(log_p, 0.1 / (N_WAY - 1))
    target.scatter_(-1, batch.y_TM[:, 10:].unsqueeze(-1), 0.9)
    assert smooth == pytest.approx(-(target * log_p).sum(-1).mean().item())
    assert smooth != pytest.approx(plain)


@every_convex
def test_its_gradient_is_that_of_finite_differences(name):
    """Through the head's solution, into the backbone and all that the head learns."""
    learner, batch = make_learner(name), make_batch(2)
    # Without kinks, which finite differences would see.
    learner.backbone = nn.Sequential(nn.Conv2d(3, 2, 9), nn.Softplus(), nn.Flatten()).double()
    parameters = dict(learner.named_parameters())
    gradients = torch.autograd.grad(learner.loss(batch), tuple(parameters.values()))
    g = torch.Generator().manual_seed(0)
    h = 1e-5
    direction = [torch.randn(p.shape, generator=g, dtype=p.dtype) for p in parameters.values()]
    expected = sum((a * b).sum().item() for a, b in zip(gradients, direction, strict=True))

    @torch.no_grad()
    def moved(sign: int) -> float:
        for p, d in zip(parameters.values(), direction, strict=True):
            p += sign * h * d
        loss = learner.loss(batch).item()
        for p, d in zip(parameters.values(), direction, strict=True):
            p -= sign * h * d
        return loss

    assert (moved(1) - moved(-1)) / (2 * h) == pytest.approx(expected, rel=1e-5)


@every_convex
def test_shots_of_training_and_test_are_apart(name):
    learner = make_learner(name)
    learner.train().loss(make_batch(2, n_shot=3))
    for n_shot in (1, 4):
        assert head_logits(learner.eval(), make_batch(2, n_shot=n_shot)).isfinite().all()


def test_r2d2_learns_its_penalty_unless_told_not_to():
    for learn in (True, False):
        learner = make_learner("r2d2", learn_penalty=learn)
        assert learner.log_penalty.requires_grad == learn
        learner.train().loss(make_batch(2)).backward()
        assert (learner.log_penalty.grad is not None) == learn


def test_few_steps_of_the_solver_are_a_choice():
    batch = make_batch(2)
    exact, few = (
        head_logits(make_learner("metaoptnet-svm", steps=steps).eval(), batch)
        for steps in (None, 2)
    )
    assert not torch.allclose(exact, few)
