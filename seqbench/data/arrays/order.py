"""Which examples a batch holds, by its number: shuffled anew in each epoch, sequences of like length together.

An epoch's order is the sorting of random bits that are drawn by count, so batch i is the same whatever was asked
before, in whatever process. Batches differ by at most one in size: none is left that holds a few examples only.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from seqbench.data.random_bits import philox

_STREAM = 0x0DE5  # apart from the other draws of the seed
_POOL = 8  # batches that are sorted by length together: their sequences are of like length, and still random


class Order(Protocol):
    """`n_batches` of a pass, and the examples of each."""

    n_batches: int

    def examples(self, index: int) -> np.ndarray: ...


class Shuffled:
    """Batches for training: of examples of equal length, or of (N,) `lengths`. `n_batches` make an epoch."""

    def __init__(self, n_examples: int, batch_size: int, seed: int, lengths: np.ndarray | None = None):
        self.n_examples, self.batch_size, self.seed, self.lengths = n_examples, batch_size, seed, lengths
        self.n_batches = -(-n_examples // batch_size)
        self._batches = functools.lru_cache(maxsize=2)(self._epoch)

    def examples(self, index: int) -> np.ndarray:
        """The examples of batch `index`; `n_batches` is the first of the second epoch."""
        epoch, position = divmod(index, self.n_batches)
        return self._batches(epoch)[position]

    def _epoch(self, epoch: int) -> list[np.ndarray]:
        order = _drawn_order(self.seed, epoch, 0, self.n_examples)
        if self.lengths is None:
            return _cut(order, self.n_batches)
        pools = _cut(order, -(-self.n_batches // _POOL))
        by_length = np.concatenate([pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools])
        batches = _cut(by_length, self.n_batches)
        return [batches[place] for place in _drawn_order(self.seed, epoch, 1, self.n_batches)]


class InOrder:
    """Every example once, from the shortest to the longest: batches for evaluation."""

    def __init__(self, n_examples: int, batch_size: int, lengths: np.ndarray | None = None):
        order = np.arange(n_examples) if lengths is None else np.argsort(lengths, kind="stable")
        self.n_batches = -(-n_examples // batch_size)
        self._batches = [order[first : first + batch_size] for first in range(0, n_examples, batch_size)]

    def examples(self, index: int) -> np.ndarray:
        return self._batches[index % self.n_batches]


def orders(
    sizes: Mapping[str, int],
    batch_size: int,
    eval_batch_size: int,
    seed: int,
    lengths: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Order]:
    """Of each split, by its number of examples and their `lengths`: train shuffled, the others in order."""
    of = lengths or {}
    return {
        split: Shuffled(size, batch_size, seed, of.get(split))
        if split == "train"
        else InOrder(size, eval_batch_size, of.get(split))
        for split, size in sizes.items()
    }


def _drawn_order(seed: int, epoch: int, stream: int, count: int) -> np.ndarray:
    bits = philox(seed, _STREAM, (0, 0, epoch, stream)).random_raw(count)
    return np.argsort(bits, kind="stable")  # not Generator.permutation, which NumPy may change


def _cut(order: np.ndarray, n_parts: int) -> list[np.ndarray]:
    """Parts whose sizes differ by at most one."""
    return [order[len(order) * part // n_parts : len(order) * (part + 1) // n_parts] for part in range(n_parts)]
