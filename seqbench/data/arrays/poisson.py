"""Poisson sampling: every example is in a batch with one probability, whatever else is in it."""

from __future__ import annotations

import numpy as np

from seqbench.data.random_bits import philox

_STREAM = 0x9015  # apart from the other draws of the seed


class Poisson:
    """Batches of `batch_size` of `n_examples` on average. `n_batches` are about one pass over the examples."""

    def __init__(self, n_examples: int, batch_size: int, seed: int):
        if batch_size > n_examples:
            raise ValueError(f"batch_size={batch_size} is more than the {n_examples:,} examples")
        self.n_examples, self.seed = n_examples, seed
        self.threshold = (batch_size << 64) // n_examples  # of 64 random bits
        self.n_batches = -(-n_examples // batch_size)

    def examples(self, index: int) -> np.ndarray:
        """The examples of batch `index`, in order; maybe none."""
        bits = philox(self.seed, _STREAM, (0, 0, index, 0)).random_raw(self.n_examples)
        return np.flatnonzero(bits < np.uint64(min(self.threshold, 2**64 - 1)))
