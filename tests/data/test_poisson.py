"""Poisson sampling: each example by itself, with one probability."""

import numpy as np
import pytest

from seqbench.data.arrays.poisson import Poisson


def test_each_example_is_drawn_by_itself():
    order = Poisson(200, 30, seed=3)
    drawn = np.zeros((2000, 200), bool)
    for index in range(len(drawn)):
        drawn[index, order.examples(index)] = True
    rate = 30 / 200
    assert np.abs(drawn.mean(0) - rate).max() < 5 * np.sqrt(rate * (1 - rate) / len(drawn))
    sizes = drawn.sum(1)
    assert sizes.var() == pytest.approx(200 * rate * (1 - rate), rel=0.15)  # 0 if batches were of one size
    together = (drawn[:, :-1] & drawn[:, 1:]).mean()
    assert together == pytest.approx(rate**2, rel=0.05)


def test_a_batch_depends_on_its_number_and_the_seed():
    batches = [Poisson(200, 30, seed).examples(index) for seed, index in ((3, 0), (3, 0), (3, 1), (4, 0))]
    assert np.array_equal(batches[0], batches[1])
    assert not np.array_equal(batches[0], batches[2]) and not np.array_equal(batches[0], batches[3])
    assert Poisson(200, 30, 3).n_batches == 7


def test_all_or_too_many():
    assert len(Poisson(50, 50, 0).examples(0)) == 50
    with pytest.raises(ValueError, match="batch_size=51 is more than the 50 examples"):
        Poisson(50, 51, 0)
