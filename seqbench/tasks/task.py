"""The contract of a task, and the counter-based random numbers that synthetic tasks draw from."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from seqbench.evaluation.scoring import Sums
from seqbench.network import Network
from seqbench.types import Batch, TaskIO

SPLITS = ("train", "valid", "test")


class Task:
    """Data and its scoring. `batch` is a pure function of its arguments, so a run can resume anywhere."""

    io: TaskIO
    version: dict[str, object]  # name, version, data_sha256: what must agree for two results to compare
    baseline: dict[str, float] = {}  # what a model without memory reaches, by metric
    continuous: bool = False  # whether a split is one continuous text
    equal_batches: bool = True  # whether all training batches have as many sequences

    def batch(self, split: str, index: int) -> Batch:
        """Batch number `index` of the split; beyond an epoch's end, training goes on with the next epoch."""
        raise NotImplementedError

    def n_batches(self, split: str) -> int:
        """Batches in one pass over the split."""
        raise NotImplementedError

    def evaluate(self, network: Network, batches: Iterable[Batch]) -> Sums:
        """(sum, count) of each metric over `batches`, which are consecutive."""
        raise NotImplementedError

    def metrics(self, sums: Sums) -> dict[str, float]:
        """The metrics of reduced sums."""
        raise NotImplementedError


def draws(seed: int, split: str, first: int, n_rows: int, n_columns: int) -> np.ndarray:
    """64 random bits for each of `n_columns` draws of the sequences `first`, ..., `first + n_rows - 1` of a split:
    (n_rows, n_columns) uint64. Philox counts, so sequence i is the same in whatever batch it is drawn."""
    words = 4  # 64-bit words that one Philox count gives
    counts = math.ceil(n_columns / words)
    generator = np.random.Philox(key=[seed, SPLITS.index(split)], counter=first * counts)
    return generator.random_raw(n_rows * counts * words).reshape(n_rows, counts * words)[:, :n_columns]
