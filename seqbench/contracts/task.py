"""The contract of a task."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Sums
from seqbench.contracts.task_io import TaskIO

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

    def evaluate(self, network: Any, batches: Iterable[Batch]) -> Sums:
        """(sum, count) of each metric over `batches`, which are consecutive."""
        raise NotImplementedError

    def metrics(self, sums: Sums) -> dict[str, float]:
        """The metrics of reduced sums."""
        raise NotImplementedError
