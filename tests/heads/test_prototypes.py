"""Prototypes are class means; logits are minus squared distances, to full precision."""

import pytest
import torch

from fewshot.heads.prototypes import class_means, squared_euclidean_logits


def test_prototypes_are_means_of_unequal_classes() -> None:
    z_TSD = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
    y_TS = torch.tensor([[0, 1, 1, 2, 1, 2], [2, 2, 0, 2, 2, 1]])
    prototypes_TND = class_means(z_TSD, y_TS, 3)
    for t in range(2):
        for n in range(3):
            expected_D = z_TSD[t, y_TS[t] == n].mean(0)
            torch.testing.assert_close(prototypes_TND[t, n], expected_D)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("autocast", [False, True])
def test_at_least_float32_also_under_autocast(dtype: torch.dtype, autocast: bool) -> None:
    z_TSD = torch.randn(3, 10, 16, generator=torch.Generator().manual_seed(0)).to(dtype)
    y_TS = torch.arange(10).remainder(5).expand(3, -1)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        prototypes_TND = class_means(z_TSD, y_TS, 5)
        logits_TQN = squared_euclidean_logits(z_TSD, prototypes_TND)
    exact_TND = class_means(z_TSD.double(), y_TS, 5)
    exact_TQN = squared_euclidean_logits(z_TSD.double(), exact_TND)
    assert prototypes_TND.dtype == logits_TQN.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(prototypes_TND.double(), exact_TND, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(logits_TQN.double(), exact_TQN, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("offset", [0.0, 1.0, 100.0])
def test_logits_keep_their_digits_far_from_the_origin(offset: float) -> None:
    g = torch.Generator().manual_seed(0)
    query_z_TQD = torch.randn(4, 15, 640, generator=g) + offset
    prototypes_TND = torch.randn(4, 5, 640, generator=g) + offset
    logits_TQN = squared_euclidean_logits(query_z_TQD, prototypes_TND)
    gap_TQND = query_z_TQD.double().unsqueeze(2) - prototypes_TND.double().unsqueeze(1)
    torch.testing.assert_close(logits_TQN.double(), -gap_TQND.square().sum(-1), atol=0.0, rtol=1e-5)


def test_gradients_of_features() -> None:
    g = torch.Generator().manual_seed(0)
    z_TSD = torch.randn(2, 4, 3, dtype=torch.float64, generator=g, requires_grad=True)
    query_z_TQD = torch.randn(2, 5, 3, dtype=torch.float64, generator=g, requires_grad=True)
    y_TS = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 0]])
    assert torch.autograd.gradcheck(
        lambda z, q: squared_euclidean_logits(q, class_means(z, y_TS, 2)), (z_TSD, query_z_TQD)
    )
