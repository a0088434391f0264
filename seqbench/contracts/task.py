"""The contract of a task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner

SPLITS = ("train", "valid", "test")
Sums = dict[str, tuple[float, int]]  # metric -> (sum over targets, number of targets)


@dataclass(frozen=True)
class Sampling:
    """Poisson sampling: each of `n_rows` independent training rows is in a batch with the probability
    rows_per_step / n_rows, whatever else is in it. A batch has `rows_per_step` rows on average, and may have none."""

    n_rows: int
    rows_per_step: int


class Task:
    """Data and its scoring. `batch` is a pure function of its arguments, so a run can resume anywhere.

    `version` holds name, version and data_sha256: what must agree for two results to compare. `selection` is the metric
    on valid that picks the best checkpoint, always an error: lower is better. `baseline` is what a model without memory
    reaches, by metric. A constructor that takes `data_dir` and `source` is given the folder of prepared data and where
    the raw data are. `sampling` is None unless training batches are drawn so. `public` (P, T, D) are inputs of other
    data, which a private training may read freely, or None."""

    inputs: Inputs
    outputs: Outputs
    version: dict[str, object]
    selection: str = "nll"
    baseline: dict[str, float] = {}
    continuous: bool = False  # a batch goes on with the rows of the one before: only for causal models with a state
    autoregressive: bool = False  # targets are later inputs, which a model that is not causal would read
    equal_batches: bool = True  # whether all training batches have as many sequences
    sampling: Sampling | None = None
    public: Tensor | None = None

    def batch(self, split: str, index: int) -> Batch:
        """Batch number `index` of the split; beyond an epoch's end, training goes on with the next epoch."""
        raise NotImplementedError

    def n_batches(self, split: str) -> int:
        """Batches in one pass over the split."""
        raise NotImplementedError

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        """(sum, count) of each metric over `batches`, which are consecutive."""
        raise NotImplementedError

    def metrics(self, sums: Sums) -> dict[str, float]:
        """The metrics of reduced sums."""
        raise NotImplementedError
