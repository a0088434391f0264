"""NT-ASGD: when it begins to average, what the average is, and how it is swapped in and saved."""

import io
import random

import pytest
import torch

from seqbench.contracts.backbone import ParameterGroup
from seqbench.contracts.optimizer import StepFacts
from seqbench.optim.groups import build_optimizer
from seqbench.optim.nt_asgd import NTASGD, triggered

FALLING = [5.0, 4.0, 3.0, 2.0]


def facts(history):
    return StepFacts(step=0, history=history, count=1, loss_scale=1.0, seed=0)


def first_trigger(history, interval):
    """The authors' loop: the index of the evaluation at which they change to averaging, or None."""
    before = []
    for index, value in enumerate(history):
        if len(before) > interval and value > min(before[:-interval]):
            return index
        before.append(value)
    return None


@pytest.mark.parametrize("interval", [1, 2, 5])
def test_the_trigger_is_the_authors(interval):
    chance, found = random.Random(0), set()
    for _ in range(200):
        history = [8 / (t + 1) + chance.random() for t in range(16)]
        at = first_trigger(history, interval)
        found.add(at)
        for length in range(len(history) + 1):
            assert triggered(history[:length], interval) == (at is not None and at < length)
    assert len(found) > 3


def test_no_interval_means_worse_than_ever():
    assert not triggered(FALLING, 0)
    assert triggered([*FALLING, 2.1], 0)
    assert not triggered([*FALLING, 2.0], 0)


def problem(interval=1):
    """A weight with gradients that differ from step to step, and one that never has a gradient."""
    weights = [torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64)) for _ in range(2)]
    return weights, NTASGD(weights, lr=0.3, weight_decay=0.01, nonmonotone_interval=interval)


def steps(weights, optimizer, count, seed=0):
    generator, path = torch.Generator().manual_seed(seed), []
    for _ in range(count):
        weights[0].grad = torch.randn(2, generator=generator, dtype=torch.float64)
        optimizer.step()
        path.append(weights[0].detach().clone())
    return path


def test_before_the_trigger_it_is_sgd():
    weights, optimizer = problem()
    other = [torch.nn.Parameter(weight.detach().clone()) for weight in weights]
    plain = torch.optim.SGD(other, lr=0.3, weight_decay=0.01)
    optimizer.begin(facts(FALLING))
    assert all(map(torch.equal, steps(weights, optimizer, 5), steps(other, plain, 5)))
    with optimizer.averaged() as differs:
        assert not differs
        assert torch.equal(weights[0], other[0])
    assert optimizer.state_dict()["state"] == {}


def test_the_average_is_that_of_the_iterates_since():
    weights, optimizer = problem()
    steps(weights, optimizer, 3)
    optimizer.begin(facts([*FALLING, 9.0]))
    path = steps(weights, optimizer, 4)
    optimizer.begin(facts([*FALLING, 9.0, 1.0, 0.5]))  # once begun, it goes on
    path += steps(weights, optimizer, 4, seed=1)
    last, still = weights[0].detach().clone(), weights[1].detach().clone()
    with optimizer.averaged() as differs:
        assert differs
        torch.testing.assert_close(weights[0].detach(), torch.stack(path).mean(0), rtol=1e-14, atol=1e-14)
        torch.testing.assert_close(weights[1].detach(), still)
    assert torch.equal(weights[0], last)


def test_the_weights_come_back_after_an_error():
    weights, optimizer = problem()
    optimizer.begin(facts([*FALLING, 9.0]))
    path = steps(weights, optimizer, 2)
    with pytest.raises(RuntimeError, match="in evaluation"), optimizer.averaged():
        assert not torch.equal(weights[0], path[-1])
        raise RuntimeError("in evaluation")
    assert torch.equal(weights[0], path[-1])


@pytest.mark.parametrize("history", [FALLING, [*FALLING, 9.0]], ids=["before", "after"])
def test_saved_and_loaded_it_goes_on_alike(history):
    weights, optimizer = problem()
    optimizer.begin(facts(history))
    steps(weights, optimizer, 3)
    file = io.BytesIO()
    torch.save([[weight.detach() for weight in weights], optimizer.state_dict()], file)
    file.seek(0)
    values, state = torch.load(file, weights_only=True)
    others, second = problem()
    for other, value in zip(others, values, strict=True):
        other.data.copy_(value)
    second.load_state_dict(state)
    ends = []
    for w, o in [(weights, optimizer), (others, second)]:
        o.begin(facts(history))
        steps(w, o, 3, seed=2)
        with o.averaged() as differs:
            ends.append([differs, *(weight.detach().clone() for weight in w)])
    assert ends[0][0] == ends[1][0] == (len(history) > 4)
    assert all(map(torch.equal, ends[0][1:], ends[1][1:]))


def test_a_group_may_average_beside_one_that_does_not():
    network = torch.nn.Linear(3, 2)
    made = {None: torch.optim.SGD, "nt_asgd": NTASGD}
    optimizer = build_optimizer(
        network,
        {"recurrent": ParameterGroup([network.weight])},
        lambda target, params, settings: made[target](params, **settings),
        {"lr": 0.1, "groups": {"recurrent": {"_target_": "nt_asgd", "lr": 0.2, "nonmonotone_interval": 0}}},
    )
    for history in ([], [1.0], [1.0, 2.0], [1.0, 2.0, 0.5]):
        optimizer.begin(facts(history))
        network(torch.ones(4, 3)).square().sum().backward()
        for one in optimizer.all():
            one.step()
    weight, bias = network.weight.detach().clone(), network.bias.detach().clone()
    with optimizer.averaged() as differs:
        assert differs
        assert torch.equal(network.bias, bias) and not torch.equal(network.weight, weight)
    assert torch.equal(network.weight, weight)
