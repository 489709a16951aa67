"""Muon on kernels as PyTorch has it on matrices, whatever the layout in memory."""

import pytest
import torch
from torch import nn

from fewshot.harness.optimizers import NEWTON_SCHULZ_STEPS, Muon, lr_factor, make_optimizer
from fewshot.harness.recipe import Recipe

MUON = Recipe(steps=10, optimizer="muon", lr=0.01, weight_decay=0.1)


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 6, 1), nn.Flatten())


def descend(net, optimizer, steps=5):
    x_ICHW = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    for _ in range(steps):
        optimizer.zero_grad()
        net(x_ICHW).square().mean().backward()
        optimizer.step()


def test_muon_is_that_of_pytorch_on_the_kernels_as_matrices_and_adamw_on_the_rest():
    ours, theirs = small_net(), small_net()
    descend(ours, make_optimizer(ours.parameters(), MUON), steps=1)
    kernels = [p for p in theirs.parameters() if p.ndim == 4]
    rest = [p for p in theirs.parameters() if p.ndim != 4]
    matrices = [nn.Parameter(p.detach().flatten(1).clone()) for p in kernels]
    adamw = torch.optim.AdamW(rest, 0.01, (0.9, 0.95), weight_decay=0.1)
    muon = torch.optim.Muon(
        matrices, 0.01, 0.1, 0.95, ns_steps=NEWTON_SCHULZ_STEPS, adjust_lr_fn="match_rms_adamw"
    )
    x_ICHW = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    theirs(x_ICHW).square().mean().backward()
    for kernel, matrix in zip(kernels, matrices, strict=True):
        matrix.grad = kernel.grad.flatten(1)
    adamw.step()
    muon.step()
    for kernel, matrix in zip(kernels, matrices, strict=True):
        kernel.data.copy_(matrix.view_as(kernel))
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_layout_in_memory_changes_nothing():
    plain, last = small_net(), small_net().to(memory_format=torch.channels_last)
    for net in (plain, last):
        descend(net, make_optimizer(net.parameters(), MUON), steps=1)
    for layer in (0, 2):
        one, other, before = (net[layer].weight for net in (plain, last, small_net()))
        # Newton-Schulz is done in bfloat16, and sums run in another order.
        assert torch.allclose(one, other, atol=0.05 * (one - before).abs().max().item())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_step_of_a_kernel_has_singular_values_alike_and_the_length_of_adams(layout):
    kernel = torch.randn(16, 8, 3, 3).to(memory_format=layout).requires_grad_()
    before = kernel.detach().clone()
    kernel.grad = torch.randn(16, 8, 3, 3) * torch.logspace(0, -1, 16)[:, None, None, None]
    Muon([kernel], lr=0.01, weight_decay=0.0).step()
    step = (kernel.detach() - before) / 0.01
    assert step.square().mean().sqrt() == pytest.approx(0.2, rel=0.3)  # of AdamW: about 0.2

    def spread(x):
        singular = torch.linalg.svdvals(x.flatten(1))
        return singular.max() / singular.min()

    assert spread(step) < 0.5 * spread(kernel.grad)


def test_weights_loaded_later_are_the_ones_that_are_trained():
    net, other = small_net(), small_net()
    optimizer = make_optimizer(net.parameters(), MUON)
    with torch.no_grad():
        other[0].weight.mul_(3)
    net.load_state_dict(other.state_dict())
    descend(net, optimizer, steps=1)
    assert not torch.equal(net[0].weight, other[0].weight)
    assert torch.allclose(net[0].weight, other[0].weight, atol=0.05)


def test_gradients_are_forgotten_and_parameters_without_one_stay():
    net = small_net()
    optimizer = make_optimizer(net.parameters(), MUON)
    before = [p.detach().clone() for p in net.parameters()]
    optimizer.step()
    assert all(torch.equal(p, b) for p, b in zip(net.parameters(), before, strict=True))
    descend(net, optimizer, steps=1)
    optimizer.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_frozen_parameters_are_left_alone():
    net = small_net()
    net[0].weight.requires_grad_(False)
    before = net[0].weight.clone()
    descend(net, make_optimizer(net.parameters(), MUON))
    assert torch.equal(net[0].weight, before)


def test_a_learning_rate_set_in_the_groups_reaches_both_optimisers():
    net = small_net()
    optimizer = make_optimizer(net.parameters(), MUON)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = [p.detach().clone() for p in net.parameters()]
    descend(net, optimizer, steps=2)
    assert all(torch.equal(p, b) for p, b in zip(net.parameters(), before, strict=True))


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("one_cycle", {0.0: 0.04, 0.1: 0.52, 0.2: 1.0, 0.6: 0.5, 1.0: 0.0}),
        ("cosine", {0.0: 1.0, 0.5: 0.5, 1.0: 0.0}),
        ("constant", {0.0: 1.0, 0.5: 1.0, 1.0: 1.0}),
    ],
)
def test_the_schedule_at_its_start_its_turn_and_its_end(schedule, factors):
    recipe = Recipe(schedule=schedule, warmup=0.2)
    for progress, factor in factors.items():
        assert lr_factor(recipe, progress) == pytest.approx(factor, abs=1e-12)


def test_one_cycle_without_warm_up_is_a_cosine():
    for progress in (0.0, 0.3, 1.0):
        assert lr_factor(Recipe(warmup=0.0), progress) == pytest.approx(
            lr_factor(Recipe(schedule="cosine"), progress)
        )
