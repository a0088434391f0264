"""Batches by length and number: every example once an epoch, in another order each epoch, whatever was asked before."""

import numpy as np
import pytest

from seqbench.data.pairs.buckets import Buckets, InOrder, shuffled


def lengths(n=3000, seed=0):
    return 1 + np.random.default_rng(seed).geometric(0.05, n)


def epoch(index, number=0):
    return [index.examples(number * index.n_batches + i) for i in range(index.n_batches)]


@pytest.mark.parametrize("n", [1, 2, 7, 3000])
@pytest.mark.parametrize("tokens", [1, 40, 500, 100_000])
def test_every_example_once_an_epoch(n, tokens):
    for index in (Buckets(lengths(n), tokens, seed=3), InOrder(lengths(n), tokens)):
        for number in (0, 1):
            assert sorted(np.concatenate(epoch(index, number)).tolist()) == list(range(n))


def test_batches_hold_no_more_than_asked_and_little_padding():
    sizes, tokens = lengths(), 500
    index = Buckets(sizes, tokens, seed=0)
    padded = [len(batch) * sizes[batch].max() for batch in epoch(index)]
    assert max(padded) <= tokens
    assert sizes.sum() / sum(padded) > 0.9
    assert min(map(len, epoch(index))) >= tokens // sizes.max() // 2
    one_too_long = Buckets(np.array([3, 4, 5000]), 100, seed=0)
    assert sorted(map(len, epoch(one_too_long))) == [1, 2]  # it has a batch of its own


def test_epochs_and_seeds_differ_and_a_batch_is_a_function_of_its_number():
    index, again = Buckets(lengths(), 500, seed=1), Buckets(lengths(), 500, seed=1)
    n = index.n_batches
    asked = {i: index.examples(i) for i in range(3 * n)}
    for i in np.random.default_rng(1).permutation(3 * n)[:50].tolist():
        assert np.array_equal(again.examples(i), asked[i])
    first, second = (np.concatenate([asked[e * n + i] for i in range(n)]) for e in (0, 1))
    other = np.concatenate(epoch(Buckets(lengths(), 500, seed=2)))
    assert (first == second).mean() < 0.01 and (first == other).mean() < 0.01
    together = [set(asked[i]) for i in range(n) if len(asked[i]) > 10]
    repeated = max(len(one & set(asked[n + i])) / len(one) for one in together for i in range(n))
    assert repeated < 0.8  # an epoch does not merely reorder the batches of the one before


@pytest.mark.parametrize("size", [1, 2, 3, 16, 17, 1000])
def test_shuffled_is_a_permutation(size):
    keys = np.random.Philox(key=[size, 1]).random_raw(6)
    whole = shuffled(np.arange(size), size, keys)
    assert sorted(whole.tolist()) == list(range(size))
    assert np.array_equal(shuffled(np.arange(size)[::2], size, keys), whole[::2])


def test_shuffled_places_are_even():
    """Where place 0 of 50 goes over many keys, and whether neighbours stay neighbours."""
    found = np.array([shuffled(np.arange(2), 50, np.random.Philox(key=[k, 2]).random_raw(6)) for k in range(5000)])
    counts = np.bincount(found[:, 0], minlength=50)
    assert ((counts - 100) ** 2 / 100).sum() < 95  # chi squared, 49 degrees of freedom: 1 in 10,000
    assert abs((np.abs(found[:, 0] - found[:, 1]) == 1).mean() - 0.04) < 0.012


def test_golden():
    """The order is part of a run: changing it changes every translation's result."""
    index = Buckets(lengths(40), 120, seed=5)
    assert (index.n_batches, [index.examples(i).tolist() for i in (0, 1, 100)]) == GOLDEN


GOLDEN = (13, [[23, 32, 6, 0], [38, 31], [31, 38]])
