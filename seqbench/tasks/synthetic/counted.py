"""Sequences drawn by number: sequence i of a split is the same in whatever batch it is drawn."""

from __future__ import annotations

import math

import numpy as np

from seqbench.contracts.task import SPLITS
from seqbench.data.random_bits import philox


def draws(seed: int, split: str, first: int, n_rows: int, n_columns: int) -> np.ndarray:
    """64 random bits for each of `n_columns` draws of the sequences `first`, ..., `first + n_rows - 1` of a split:
    (n_rows, n_columns) uint64."""
    words = 4  # 64-bit words that one Philox count gives
    counts = math.ceil(n_columns / words)
    generator = philox(seed, SPLITS.index(split), first * counts)
    return generator.random_raw(n_rows * counts * words).reshape(n_rows, counts * words)[:, :n_columns]


def rows(task, split: str, index: int) -> tuple[int, int]:
    """First sequence and number of sequences of a synthetic task's batch; the last one of an epoch may be shorter."""
    size = task.batch_size if split == "train" else task.eval_batch_size
    if split == "train" and task.fresh:
        return index * size, size
    first = index % task.n_batches(split) * size
    return first, min(size, task.sizes[split] - first)
