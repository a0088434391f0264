"""Denoising as the authors of NC-GRU generate it: the layout, colliding places, and what no model can know."""

import math

import numpy as np
import pytest
import torch

from seqbench.tasks.synthetic.denoise import Denoise

K = 10


def test_layout():
    batch = Denoise(30, batch_size=200).batch("train", 2)
    assert batch.inputs.shape == (200, 50, 10)
    assert batch.targets.shape == (200, 50)
    assert batch.count() == 200 * 50
    assert batch.inputs[:, 39].abs().max() == 0  # the marker, at T + 9
    others = torch.tensor([t != 39 for t in range(50)])
    assert torch.equal(batch.inputs[:, others].sum(-1), torch.ones(200, 49))
    symbols_BT = batch.inputs.argmax(-1)
    assert symbols_BT[:, 39:].max() == 0
    assert batch.targets[:, :40].max() == 0
    digits_BK = batch.targets[:, 40:]
    assert digits_BK.min() == 1
    assert digits_BK.max() == 9


def test_digits_are_seen_in_order_and_the_last_of_those_at_one_place_alone():
    task = Denoise(1, n_digits=4, batch_size=500)  # 4 places for 4 digits, so most collide
    batch, draws = task.batch("train", 0), task.draws("train", 0, 8)
    n_collisions = 0
    for row in range(500):
        digits, places = batch.targets[row, -4:].tolist(), sorted(int(draw % 4) for draw in draws[row, 4:])
        expected = dict(zip(places, digits, strict=True))  # a later one replaces an earlier
        assert batch.inputs[row, :4].argmax(-1).tolist() == [expected.get(place, 0) for place in range(4)]
        n_collisions += len(expected) < 4
    assert n_collisions / 500 == pytest.approx(1 - math.factorial(4) / 4**4, abs=0.06)


def test_digits_and_places_are_uniform():
    task = Denoise(20, batch_size=20_000)
    batch = task.batch("train", 0)
    digits_C = torch.bincount(batch.targets[:, -K:].flatten(), minlength=10)[1:].double()
    seen_T = (batch.inputs[:, : 20 + K - 1, 1:].sum(-1) > 0).double().mean(0)
    # chi-squared with 8 degrees of freedom: 26.1 has probability 0.001
    assert ((digits_C - 200_000 / 9) ** 2 / (200_000 / 9)).sum() < 26.1
    chance = 1 - (1 - 1 / 29) ** K  # that any of 10 draws hits a place; its standard error here is 0.0032
    assert (seen_T - chance).abs().max() < 5 * 0.0032


@pytest.mark.parametrize(("delay", "baseline", "collides"), [(100, 0.18310, 0.346), (200, 0.09987, 0.196)])
def test_baseline_and_how_often_digits_collide(delay, baseline, collides):
    task = Denoise(delay, batch_size=4000)
    assert task.baseline["nll"] == pytest.approx(baseline, abs=1e-5)
    n_seen_B = (task.batch("train", 0).inputs[..., 1:].sum(-1) > 0).sum(1)
    assert (n_seen_B < K).double().mean() == pytest.approx(collides, abs=0.03)  # four standard errors


@pytest.mark.parametrize(("delay", "least"), [(100, 0.0235), (200, 0.0070)])
def test_what_no_model_can_know(delay, least):
    """The loss of the posterior of each target, given the digits that are seen.

    That m are seen says that the K fall into m groups, of sizes n_1 ... n_m with probability ~ 1 / (n_1! ... n_m!); the
    last of a group is seen, and each other digit is uniform.
    """
    task = Denoise(delay, batch_size=4000)
    batch = task.batch("train", 0)
    digits_BK, symbols_BT = batch.targets[:, -K:].numpy(), batch.inputs.argmax(-1).numpy()
    total = 0.0
    for digits_K, symbols_T in zip(digits_BK, symbols_BT, strict=True):
        seen_M = symbols_T[symbols_T > 0]
        last_KM = ends_a_group(len(seen_M))
        chance_KC = np.zeros((K, 10))
        chance_KC[:, 1:] = (1 - last_KM.sum(1, keepdims=True)) / 9
        for digit, last_K in zip(seen_M, last_KM.T, strict=True):
            chance_KC[:, digit] += last_K
        total -= np.log(chance_KC[np.arange(K), digits_K]).sum()
    assert total / len(digits_BK) / (delay + 2 * K) == pytest.approx(least, rel=0.08)  # standard error: 2 and 3 %


def ends_a_group(m):
    """(K, m): the probability that digit k is the last of group j."""
    ways = np.zeros((m + 1, K + 1))  # of j groups to take s digits
    ways[0, 0] = 1
    for j in range(m):
        for s in range(K):
            for size in range(1, K - s + 1):
                ways[j + 1, s + size] += ways[j, s] / math.factorial(size)
    return np.array([[ways[j, s] * ways[m - j, K - s] / ways[m, K] for j in range(1, m + 1)] for s in range(1, K + 1)])
