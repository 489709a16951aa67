"""The batched head against scikit-learn, its own optimality conditions, and hard inputs."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from fewshot.heads import logistic, logistic_newton, support


def make_episodes(
    n_episodes: int, n_way: int, n_shot: int, n_features: int, norm: float, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Support features and labels, and query features, of overlapping classes far from 0."""
    g = torch.Generator().manual_seed(seed)
    centre_TND = torch.randn(n_episodes, n_way, n_features, generator=g)

    def draw(per_class: int) -> tuple[Tensor, Tensor]:
        y_S = torch.arange(n_way).repeat_interleave(per_class)
        noise_TSD = torch.randn(n_episodes, len(y_S), n_features, generator=g)
        z_TSD = torch.relu(centre_TND[:, y_S] + 1.5 * noise_TSD + 0.5)
        return norm * normalize(z_TSD, dim=-1), y_S.expand(n_episodes, -1)

    support_z_TSD, support_y_TS = draw(n_shot)
    return support_z_TSD, support_y_TS, draw(15)[0]


def probabilities(head: logistic.LogisticHead, z_TQD: Tensor) -> Tensor:
    return logistic.logits(head, z_TQD).softmax(-1)


def gradients(
    head: logistic.LogisticHead, z_TSD: Tensor, y_TS: Tensor, c: float
) -> tuple[Tensor, Tensor]:
    """Of the objective as its formula says, by automatic differentiation."""
    weight_TND, bias_TN = (x.detach().double().requires_grad_() for x in head)
    logits_TSN = logistic.logits(logistic.LogisticHead(weight_TND, bias_TN), z_TSD.double())
    target_TSN = one_hot(y_TS, bias_TN.shape[-1]).double()
    loss = weight_TND.square().sum() / 2 - c * (target_TSN * logits_TSN.log_softmax(-1)).sum()
    weight_g_TND, bias_g_TN = torch.autograd.grad(loss, (weight_TND, bias_TN))
    return weight_g_TND, bias_g_TN


@pytest.mark.parametrize(
    ("n_way", "n_shot", "n_features", "norm", "c"),
    [
        (5, 1, 64, 1.0, 1.0),
        (5, 1, 640, 30.0, 3.0),
        (5, 5, 64, 30.0, 1.0),
        (5, 5, 640, 1.0, 3.0),
        (5, 5, 640, 30.0, 1.0),
        (5, 20, 256, 1.0, 1.0),
        (5, 20, 64, 1.0, 3.0),
        (5, 20, 256, 30.0, 1.0),
        (20, 5, 128, 1.0, 1.0),
        (5, 5, 8, 30.0, 3.0),
    ],
)
def test_agrees_with_scikit_learn(
    n_way: int, n_shot: int, n_features: int, norm: float, c: float
) -> None:
    support_z_TSD, support_y_TS, query_z_TQD = make_episodes(6, n_way, n_shot, n_features, norm)
    head = logistic.fit(support_z_TSD, support_y_TS, n_way, c=c)
    p_TQN = probabilities(head, query_z_TQD)
    sklearn_p_TQN = torch.from_numpy(
        np.stack(
            [
                LogisticRegression(C=c, tol=1e-8, max_iter=100_000)
                .fit(z_SD.double().numpy(), y_S.numpy())
                .predict_proba(query_z_QD.double().numpy())
                for z_SD, y_S, query_z_QD in zip(
                    support_z_TSD, support_y_TS, query_z_TQD, strict=True
                )
            ]
        )
    )
    assert (p_TQN - sklearn_p_TQN).abs().max() < 1e-3
    assert (p_TQN.argmax(-1) == sklearn_p_TQN.argmax(-1)).double().mean() >= 0.999


def test_two_way_is_the_binary_problem_with_c_doubled() -> None:
    support_z_TSD, support_y_TS, query_z_TQD = make_episodes(1, 2, 5, 32, 3.0)
    head = logistic.fit(support_z_TSD, support_y_TS, 2, c=0.5)
    sklearn_head = LogisticRegression(C=1.0, tol=1e-8, max_iter=10_000)
    # In float64, as the head solves it: in float32 that library stops some 1e-4 too early.
    sklearn_head.fit(support_z_TSD[0].double().numpy(), support_y_TS[0].numpy())
    sklearn_p_QN = torch.from_numpy(sklearn_head.predict_proba(query_z_TQD[0].double().numpy()))
    torch.testing.assert_close(
        probabilities(head, query_z_TQD)[0], sklearn_p_QN.float(), atol=1e-5, rtol=0.0
    )


# With one step of conjugate gradients allowed, all but the first Newton steps are exact ones.
@pytest.mark.parametrize("max_cg_steps", [1, logistic_newton.MAX_CG_STEPS, 1000])
@pytest.mark.parametrize("shape", [(5, 1, 64), (5, 5, 640), (5, 20, 16), (3, 8, 4), (1, 4, 8)])
@pytest.mark.parametrize("norm", [1.0, 30.0])
def test_gradient_vanishes(
    monkeypatch: pytest.MonkeyPatch, max_cg_steps: int, shape: tuple[int, int, int], norm: float
) -> None:
    monkeypatch.setattr(logistic_newton, "MAX_CG_STEPS", max_cg_steps)
    n_way, n_shot, n_features = shape
    z_TSD, y_TS, _ = make_episodes(4, n_way, n_shot, n_features, norm)
    head = logistic.fit(z_TSD.double(), y_TS, n_way, c=2.0, tolerance=1e-8)
    weight_g_TND, bias_g_TN = gradients(head, z_TSD, y_TS, 2.0)
    assert weight_g_TND.abs().max() < 1e-6
    assert bias_g_TN.abs().max() < 1e-6
    assert head.bias_TN.sum(-1).abs().max() < 1e-9


def shuffled(z_TSD: Tensor, y_TS: Tensor, n_way: int, seed: int) -> tuple[Tensor, Tensor]:
    """The same episodes with support, features and labels in another order, as sums are taken."""
    g = torch.Generator().manual_seed(seed)
    n_support, n_features = z_TSD.shape[1:]
    order_S = torch.randperm(n_support, generator=g)
    z_TSD = z_TSD[:, order_S][..., torch.randperm(n_features, generator=g)]
    return z_TSD.contiguous(), torch.randperm(n_way, generator=g)[y_TS[:, order_S]]


def rounds_otherwise(monkeypatch: pytest.MonkeyPatch, ulps: float) -> None:
    """Let the logits of every Newton step be off by some ulps, as on another processor."""
    plain, g = logistic_newton._descent, torch.Generator().manual_seed(0)

    def descent(now: logistic_newton._Problems, c: float) -> logistic_newton._Descent:
        noise_TSN = torch.randn(now.logits_TSN.shape, generator=g, dtype=torch.float64)
        logits_TSN = now.logits_TSN * (1 + ulps * logistic_newton.EPS * noise_TSN)
        return plain(now._replace(logits_TSN=logits_TSN), c)

    monkeypatch.setattr(logistic_newton, "_descent", descent)


# With a tolerance of 0, only the rounding of its own numbers can end the solver.
@pytest.mark.parametrize("tolerance", [0.0, 1e-8])
@pytest.mark.parametrize("ulps", [0.0, 4.0])
@pytest.mark.parametrize("max_cg_steps", [1, logistic_newton.MAX_CG_STEPS, 1000])
def test_every_order_of_summation_ends(
    monkeypatch: pytest.MonkeyPatch, max_cg_steps: int, ulps: float, tolerance: float
) -> None:
    monkeypatch.setattr(logistic_newton, "MAX_CG_STEPS", max_cg_steps)
    if ulps:
        rounds_otherwise(monkeypatch, ulps)
    for n_way, n_shot, n_features in [(5, 5, 640), (5, 8, 16), (3, 8, 4)]:
        z_TSD, y_TS, _ = make_episodes(4, n_way, n_shot, n_features, 30.0)
        for seed in range(4):
            z_TSD, y_TS = shuffled(z_TSD, y_TS, n_way, seed)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                head = logistic.fit(z_TSD.double(), y_TS, n_way, c=2.0, tolerance=tolerance)
            assert max(x.abs().max() for x in gradients(head, z_TSD, y_TS, 2.0)) < 1e-6


SOLVES = """
import sys, warnings, torch
from test_logistic import logistic, make_episodes
warnings.simplefilter("error")
torch.set_num_threads(int(sys.argv[1]))
for n_way, n_shot, n_features in [(5, 5, 640), (5, 8, 16), (3, 8, 4)]:
    z_TSD, y_TS, _ = make_episodes(4, n_way, n_shot, n_features, 30.0)
    logistic.fit(z_TSD.double(), y_TS, n_way, c=2.0, tolerance=0.0)
"""


@pytest.mark.parametrize(
    ("threads", "other"),
    [
        ("1", {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}),
        ("2", {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "COMPATIBLE"}),
    ],
)
def test_other_processors_end_too(threads: str, other: dict[str, str]) -> None:
    """Their instructions, with and without fused multiply-add, and one or two threads."""
    environment = os.environ | other | {"OPENBLAS_CORETYPE": "NEHALEM", "OMP_NUM_THREADS": threads}
    command = [sys.executable, "-c", SOLVES, threads]
    subprocess.run(command, check=True, env=environment, cwd=Path(__file__).parent)


@pytest.mark.parametrize("norm", [1.0, 30.0])
def test_a_batch_is_its_episodes_one_by_one(monkeypatch: pytest.MonkeyPatch, norm: float) -> None:
    z_TSD, y_TS, query_z_TQD = make_episodes(7, 5, 5, 64, norm)
    whole_TQN = probabilities(logistic.fit(z_TSD, y_TS, 5), query_z_TQD)
    alone_TQN = torch.cat(
        [probabilities(logistic.fit(z_TSD[[t]], y_TS[[t]], 5), query_z_TQD[[t]]) for t in range(7)]
    )
    monkeypatch.setattr(support, "CHUNK_BYTES", {"cpu": 3 * 25 * 25 * 8})  # 3 episodes, 3, and 1
    chunks_TQN = probabilities(logistic.fit(z_TSD, y_TS, 5), query_z_TQD)
    torch.testing.assert_close(alone_TQN, whole_TQN, atol=2e-6, rtol=0.0)
    torch.testing.assert_close(chunks_TQN, whole_TQN, atol=2e-6, rtol=0.0)


def test_order_of_support_and_of_labels() -> None:
    z_TSD, y_TS, query_z_TQD = make_episodes(3, 5, 5, 64, 10.0)
    p_TQN = probabilities(logistic.fit(z_TSD, y_TS, 5), query_z_TQD)
    order_S = torch.randperm(25, generator=torch.Generator().manual_seed(1))
    shuffled_TQN = probabilities(logistic.fit(z_TSD[:, order_S], y_TS[:, order_S], 5), query_z_TQD)
    relabel_N = torch.tensor([3, 0, 4, 1, 2])
    relabelled_TQN = probabilities(logistic.fit(z_TSD, relabel_N[y_TS], 5), query_z_TQD)
    torch.testing.assert_close(shuffled_TQN, p_TQN, atol=2e-6, rtol=0.0)
    torch.testing.assert_close(relabelled_TQN[..., relabel_N], p_TQN, atol=2e-6, rtol=0.0)


def test_duplicate_rows_are_as_good_as_a_larger_c() -> None:
    z_TSD, y_TS, query_z_TQD = make_episodes(3, 5, 4, 64, 30.0)
    twice = logistic.fit(torch.cat([z_TSD, z_TSD], 1), torch.cat([y_TS, y_TS], 1), 5, c=1.0)
    once = logistic.fit(z_TSD, y_TS, 5, c=2.0)
    torch.testing.assert_close(
        probabilities(twice, query_z_TQD), probabilities(once, query_z_TQD), atol=2e-6, rtol=0.0
    )


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_constant_features_give_class_frequencies(value: float) -> None:
    y_TS = torch.tensor([[0, 1, 1, 2, 2, 2, 2, 1]])
    z_TSD = torch.full((1, 8, 16), value)
    p_TQN = probabilities(logistic.fit(z_TSD, y_TS, 3), z_TSD)
    expected_N = torch.tensor([1 / 8, 3 / 8, 4 / 8])
    torch.testing.assert_close(p_TQN, expected_N.expand(1, 8, 3), atol=1e-6, rtol=0.0)


def test_unequal_shots_that_differ_between_episodes() -> None:
    z_TSD, _, query_z_TQD = make_episodes(2, 3, 4, 32, 3.0)
    y_TS = torch.tensor(
        [[0, 1, 1, 2, 2, 2, 2, 1, 1, 1, 1, 1], [2, 0, 0, 0, 0, 0, 1, 0, 2, 1, 0, 0]]
    )
    p_TQN = probabilities(logistic.fit(z_TSD, y_TS, 3), query_z_TQD)
    for t in range(2):
        head = LogisticRegression(tol=1e-8, max_iter=10_000)
        head.fit(z_TSD[t].double().numpy(), y_TS[t].numpy())
        expected_QN = torch.from_numpy(head.predict_proba(query_z_TQD[t].double().numpy())).float()
        torch.testing.assert_close(p_TQN[t], expected_QN, atol=1e-5, rtol=0.0)


@pytest.mark.parametrize(("norm", "c"), [(1e-4, 1.0), (1e3, 1.0), (30.0, 100.0), (1.0, 1e-3)])
def test_extreme_scales_converge(norm: float, c: float) -> None:
    z_TSD, y_TS, query_z_TQD = make_episodes(4, 5, 5, 16, norm)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head = logistic.fit(z_TSD, y_TS, 5, c=c)
    assert probabilities(head, query_z_TQD).isfinite().all()


def test_types_of_the_head_and_its_logits() -> None:
    z_TSD, y_TS, query_z_TQD = make_episodes(2, 5, 1, 16, 1.0)
    for dtype, expected in [
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ]:
        head = logistic.fit(z_TSD.to(dtype), y_TS.int(), 5)
        assert head.weight_TND.dtype == head.bias_TN.dtype == expected
        assert logistic.logits(head, query_z_TQD.to(dtype)).dtype == expected
    assert logistic.fit(z_TSD[:0], y_TS[:0], 5).weight_TND.shape == (0, 5, 16)


def test_mistakes_are_named() -> None:
    z_TSD, y_TS, _ = make_episodes(3, 5, 2, 16, 1.0)
    for bad in (torch.nan, torch.inf):
        bad_z_TSD = z_TSD.clone()
        bad_z_TSD[1, 4, 3] = bad
        with pytest.raises(ValueError, match="episode 1 have a nan"):
            logistic.fit(bad_z_TSD, y_TS, 5)
    bad_y_TS = y_TS.clone()
    bad_y_TS[2, y_TS[2] == 3] = 0
    with pytest.raises(ValueError, match="episode 2 has no support of class 3"):
        logistic.fit(z_TSD, bad_y_TS, 5)
    with pytest.raises(ValueError, match="labels must be 0 .. 3"):
        logistic.fit(z_TSD, y_TS, 4)
    with pytest.raises(ValueError, match="positive"):
        logistic.fit(z_TSD, y_TS, 5, c=0.0)


def test_warns_of_episodes_that_did_not_converge() -> None:
    z_TSD, y_TS, _ = make_episodes(3, 5, 2, 16, 30.0)
    with pytest.warns(RuntimeWarning, match="3 of 3 episodes did not converge in 1 Newton"):
        logistic.fit(z_TSD, y_TS, 5, max_iterations=1)
