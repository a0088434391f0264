"""Shift-based AdaMax against its update, written out in float64, and torch's AdaMax."""

import math

import numpy as np
import torch

from seqbench.optim.shift_adamax import ShiftAdaMax


def shift(x):
    return 0.0 if x == 0 else math.copysign(2.0 ** round(math.log2(abs(x))), x)


def test_oracle():
    generator = np.random.default_rng(0)
    start, grads = generator.standard_normal(6), generator.standard_normal((30, 6)) * 10.0 ** np.arange(-3, 3)
    grads[5:9, 2] = 0
    weight = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = ShiftAdaMax([weight], lr=0.013, beta1=0.8, beta2=0.95)
    w, m, v = start.copy(), np.zeros(6), np.zeros(6)
    for t, g in enumerate(grads, 1):
        weight.grad = torch.from_numpy(g.copy())
        optimizer.step()
        m = 0.8 * m + 0.2 * g
        v = np.array([shift(size) for size in np.maximum(0.95 * v, np.abs(g))]) + 2.0**-27  # kept as it is rounded
        w = w - shift(0.013 / (1 - 0.8**t)) * m / v
        np.testing.assert_allclose(weight.detach().numpy(), w, rtol=1e-12)


def test_it_is_within_roundings_of_adamax():
    """A step is at most 2^(1/2 + 1/2) times larger or smaller: the rate and the size are each rounded by 2^(1/2)."""
    draw = torch.Generator().manual_seed(0)
    grad = torch.randn(1000, generator=draw, dtype=torch.float64)
    ours, theirs = (torch.nn.Parameter(torch.zeros(1000, dtype=torch.float64)) for _ in range(2))
    for weight, optimizer in ((ours, ShiftAdaMax([ours], lr=0.003)), (theirs, torch.optim.Adamax([theirs], lr=0.003))):
        weight.grad = grad.clone()
        optimizer.step()
    ratio = (ours / theirs).detach().log2()
    assert ratio.abs().max() < 1.001 and ratio.std() > 0.1


def test_a_rate_of_zero_leaves_the_weights():
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    ShiftAdaMax([weight], lr=0.0).step()
    assert weight.tolist() == [1, 1, 1]
