"""Sequences drawn by number: sequence i of a split is the same in whatever batch it is drawn."""

from __future__ import annotations

import math
import os

import numpy as np

from seqbench.contracts.task import SPLITS
from seqbench.data.random_bits import check_data_seed, philox

BYTES = 16  # of one step of a sequence, inputs and targets, at least


def draws(seed: int, split: str, first: int, n_rows: int, n_columns: int) -> np.ndarray:
    """64 random bits for each of `n_columns` draws of the sequences `first`, ..., `first + n_rows - 1` of a split:
    (n_rows, n_columns) uint64."""
    words = 4  # 64-bit words that one Philox count gives
    counts = math.ceil(n_columns / words)
    generator = philox(seed, SPLITS.index(split), first * counts)
    return generator.random_raw(n_rows * counts * words).reshape(n_rows, counts * words)[:, :n_columns]


class Counted:
    """What the synthetic tasks share beside `Task`: sequences of one length, each drawn by its number.

    With `fresh` false, `train_size` sequences are drawn once and read in order, epoch after epoch, as in the papers;
    with `fresh` true every training batch is new, and `train_size` only says how long an "epoch" is. `data_seed` fixes
    the data whatever the run's seed. Raises `MemoryError` if a batch is larger than this machine's memory.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        eval_batch_size: int,
        train_size: int,
        valid_size: int,
        test_size: int,
        fresh: bool,
        data_seed: int,
    ):
        check_data_seed(data_seed)
        self.length, self.batch_size, self.eval_batch_size = length, batch_size, eval_batch_size
        self.sizes = {"train": train_size, "valid": valid_size, "test": test_size}
        self.fresh, self.data_seed = fresh, data_seed
        n_rows = max(self._rows(split, 0)[1] for split in SPLITS)
        if n_rows * length * BYTES > memory():  # before it is made, which takes minutes and may end in a kill
            raise MemoryError(f"a batch is of {n_rows:,} sequences of {length:,} steps")

    def n_batches(self, split: str) -> int:
        return math.ceil(self.sizes[split] / self._batch_size(split))

    def draws(self, split: str, index: int, n_columns: int) -> np.ndarray:
        """64 random bits for each of `n_columns` draws of a batch's sequences: (B, n_columns) uint64."""
        return draws(self.data_seed, split, *self._rows(split, index), n_columns)

    def _batch_size(self, split: str) -> int:
        return self.batch_size if split == "train" else self.eval_batch_size

    def _rows(self, split: str, index: int) -> tuple[int, int]:
        """First sequence of a batch, and number of its sequences; the last batch of an epoch may be shorter."""
        size = self._batch_size(split)
        if split == "train" and self.fresh:
            return index * size, size
        first = index % self.n_batches(split) * size
        return first, min(size, self.sizes[split] - first)


def memory() -> int:
    """Bytes of this machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
