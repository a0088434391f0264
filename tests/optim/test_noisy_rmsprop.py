"""NoisyRMSprop against its update, written out in float64, and its noise, which leaves no trace."""

import numpy as np
import pytest
import torch

from seqbench.contracts.optimizer import StepFacts
from seqbench.optim.noisy_rmsprop import NoisyRMSprop


def facts(step: int) -> StepFacts:
    return StepFacts(step, [], count=1, loss_scale=1.0, seed=step << 12)


@pytest.mark.parametrize("clip", [None, 0.02])
def test_the_update(clip):
    draw = np.random.default_rng(0)
    start, gradients = [draw.normal(size=(3, 2)), draw.normal(size=4)], [draw.normal(size=10) for _ in range(20)]
    weights = [torch.nn.Parameter(torch.from_numpy(value.copy())) for value in start]
    optimizer = NoisyRMSprop(weights, lr=0.01, decay=0.8, momentum=0.7, floor=0.5, clip=clip)
    w = np.concatenate([value.ravel() for value in start])
    s, v = np.zeros(10), np.zeros(10)
    for step, g in enumerate(gradients):
        optimizer.begin(facts(step))
        optimizer.restore()
        weights[0].grad, weights[1].grad = torch.from_numpy(g[:6].reshape(3, 2)), torch.from_numpy(g[6:])
        optimizer.step()
        s = 0.8 * s + 0.2 * g**2
        v = 0.7 * v - 0.01 * g / np.maximum(np.sqrt(s), 0.5)
        v *= min(1, (clip or np.inf) / np.linalg.norm(v))
        w = w + v
    np.testing.assert_allclose(torch.cat([weight.detach().flatten() for weight in weights]), w, rtol=1e-12)


def test_the_gradient_is_that_of_noisy_weights_and_the_noise_is_taken_away():
    weight = torch.nn.Parameter(torch.ones(1000, dtype=torch.float64))
    optimizer = NoisyRMSprop([weight], lr=0.0, noise=0.075)
    optimizer.begin(facts(3))
    noisy = weight.detach().clone()
    assert float((noisy - 1).std()) == pytest.approx(0.075, rel=0.1)
    weight.square().sum().backward()
    optimizer.restore()
    assert torch.equal(weight, torch.ones_like(weight)), "whether or not a step follows"
    optimizer.step()
    assert torch.equal(weight, torch.ones_like(weight))
    torch.testing.assert_close(weight.grad, 2 * noisy)
    optimizer.begin(facts(3))
    assert torch.equal(weight, noisy), "noise is a function of the step"
    optimizer.restore()
    optimizer.begin(facts(4))
    assert not torch.equal(weight, noisy)
