"""Bits from every seed of 64 bits: each its own, those of small seeds as they always were."""

import warnings

import numpy as np
import pytest

from seqbench.data.pairs.buckets import Buckets
from seqbench.data.random_bits import philox
from seqbench.data.text.windows import VariableWindows
from seqbench.tasks.synthetic.adding import Adding
from seqbench.tasks.synthetic.copy import Copy
from seqbench.tasks.synthetic.counted import draws

LARGE = [0, 1, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 2, 2**64 - 1]


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**53 + 1, 2**63 - 1])
def test_the_bits_of_seeds_below_two_to_the_63_are_as_they_were(seed):
    for stream in (0, 2, 0x5EB0):
        as_it_was = np.random.Philox(key=[seed, stream], counter=7).random_raw(9)
        assert philox(seed, stream, 7).random_raw(9).tolist() == as_it_was.tolist()
    as_it_was = np.random.Philox(key=[seed, 3], counter=[0, 0, 5, 6]).random_raw(9)
    assert philox(seed, 3, (0, 0, 5, 6)).random_raw(9).tolist() == as_it_was.tolist()


def test_the_bits_of_the_largest_seed_are_the_reference_s():
    """Random123's kat_vectors, philox4x64-10 with all bits set; NumPy counts up first."""
    bits = philox(2**64 - 1, 2**64 - 1, 2**256 - 2).random_raw(4)
    assert bits.tolist() == [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0]


@pytest.mark.parametrize(
    "bits_of",
    [
        lambda seed: draws(seed, "train", 0, 3, 5).tobytes(),
        lambda seed: Copy(5, data_seed=seed).batch("train", 0).inputs.numpy().tobytes(),
        lambda seed: Adding(8, data_seed=seed).batch("test", 1).inputs.numpy().tobytes(),
        lambda seed: str([VariableWindows(5000, 20, seed).span(index) for index in range(100)]),
        lambda seed: Buckets(np.arange(1, 400), 500, seed).examples(3).tobytes(),
    ],
    ids=["draws", "copy", "adding", "windows", "buckets"],
)
def test_every_seed_has_data_of_its_own(bits_of):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len({bits_of(seed) for seed in LARGE}) == len(LARGE)


@pytest.mark.parametrize("seed", [-1, 2**64])
@pytest.mark.parametrize("task", [Copy, Adding])
def test_a_seed_out_of_range_is_one_sentence(task, seed):
    with pytest.raises(ValueError, match=rf"^task\.data_seed is at least 0 and below 2\^64, not {seed}$"):
        task(8, data_seed=seed)
