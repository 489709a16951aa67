"""Ways to compute convolutions: the recipe's names, and the refusals."""

from typing import get_args, get_type_hints

import pytest
import torch
from torch import nn

from fewshot.backbones.convolutions import check_device, prepare
from fewshot.backbones.winograd import WinogradConv2d
from fewshot.errors import UserError
from fewshot.harness.recipe import Recipe

WAYS = {"direct": nn.Conv2d, "winograd": WinogradConv2d}


def test_recipes_name_the_ways_that_there_are():
    assert set(get_args(get_type_hints(Recipe)["convolutions"])) == set(WAYS)


@pytest.mark.parametrize(("way", "kind"), WAYS.items())
def test_a_backbone_gets_the_layers_of_its_way(way, kind):
    pytest.importorskip("numba")
    net = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1))
    prepare(net, way, "transfer", differentiable=False)
    assert type(net[0]) is kind


def test_a_way_is_refused_where_it_does_not_suit():
    check_device("direct", torch.device("cuda"), "a cell")
    check_device("winograd", torch.device("cpu"), "a cell")
    with pytest.raises(UserError, match="a cell: convolutions = 'winograd' is for CPUs"):
        check_device("winograd", torch.device("cuda"), "a cell")
    prepare(nn.Sequential(), "direct", "maml", differentiable=True)
    with pytest.raises(UserError, match="maml: .* gradient learners differentiate twice"):
        prepare(nn.Sequential(), "winograd", "maml", differentiable=True)
