"""Parameter groups: rates by name, classes of their own, and the schedule over all of them."""

import pytest
import torch
from torch import nn

from seqbench.contracts.backbone import ParameterGroup
from seqbench.optim.adafactor import Adafactor
from seqbench.optim.groups import build_optimizer
from seqbench.optim.rmsprop import RMSpropTF


def network_and_groups():
    network = nn.Linear(3, 2)
    return network, {"recurrent": ParameterGroup([network.weight], lr_scale=0.1)}


def make(default):
    def call(target, params, settings):
        return {None: default, "sgd": torch.optim.SGD, "rmsprop": RMSpropTF}[target](params, **settings)

    return call


def rates(optimizer):
    return [group["lr"] for one in optimizer.all() for group in one.param_groups]


def test_a_group_has_the_rate_its_model_asks_for():
    optimizer = build_optimizer(*network_and_groups(), make(torch.optim.Adam), {"lr": 0.5, "groups": {}})
    optimizer.set_factor(0.5)
    assert rates(optimizer) == pytest.approx([0.25, 0.025])
    assert optimizer.lr() == 0.25


def test_the_config_has_the_last_word():
    settings = {"lr": 0.5, "groups": {"recurrent": {"lr": 0.3}}}
    optimizer = build_optimizer(*network_and_groups(), make(torch.optim.Adam), settings)
    optimizer.set_factor(2.0)
    assert rates(optimizer) == pytest.approx([1.0, 0.6])


def test_a_group_may_have_another_optimizer():
    settings = {"lr": 0.5, "groups": {"recurrent": {"_target_": "sgd", "lr": 0.2}}}
    optimizer = build_optimizer(*network_and_groups(), make(torch.optim.Adam), settings)
    assert [type(one) for one in optimizer.all()] == [torch.optim.Adam, torch.optim.SGD]
    optimizer.set_factor(0.5)
    assert rates(optimizer) == [0.25, 0.1]


def test_another_optimizer_has_the_rate_its_model_asks_for_too():
    settings = {"lr": 0.5, "groups": {"recurrent": {"_target_": "rmsprop"}}}
    optimizer = build_optimizer(*network_and_groups(), make(torch.optim.Adam), settings)
    assert rates(optimizer) == pytest.approx([0.5, 0.05])
    settings = {"lr": None, "groups": {"recurrent": {"_target_": "rmsprop"}}}
    with pytest.raises(ValueError, match=r"groups\.recurrent needs an lr"):
        build_optimizer(*network_and_groups(), make(Adafactor), settings)


def test_a_relative_step_is_scaled_too():
    optimizer = build_optimizer(*network_and_groups(), make(Adafactor), {"lr": None, "groups": {}})
    optimizer.set_factor(0.5)
    factors = [group["lr_factor"] for group in optimizer.all()[0].param_groups]
    assert factors == [0.5, 0.05]
    assert optimizer.lr() == 0.5


def test_the_schedule_still_rules_after_loading():
    network, named = network_and_groups()
    first = build_optimizer(network, named, make(torch.optim.Adam), {"lr": 0.5, "groups": {}})
    first.set_factor(0.1)
    second = build_optimizer(network, named, make(torch.optim.Adam), {"lr": 0.5, "groups": {}})
    second.load_state_dict(first.state_dict())
    assert rates(second) == pytest.approx([0.05, 0.005])
    second.set_factor(1.0)
    assert rates(second) == pytest.approx([0.5, 0.05])


def test_an_unknown_group_is_an_error():
    with pytest.raises(ValueError, match=r"names no parameter group of this network; it has: recurrent"):
        build_optimizer(*network_and_groups(), make(torch.optim.Adam), {"lr": 1, "groups": {"recurent": {}}})
