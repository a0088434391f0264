"""Each row of a series from the `window` rows before it, as the ARMA cell's benchmarks have it.

    rows       x0 x1 x2 x3 x4 ...       window 3
    inputs     x0 x1 x2                  of the first window
    targets    x1 x2 x3                  of which the last alone is scored

A network begins each window with a blank state. Train, valid and test follow each other in time; the windows of train
come in a new order in each epoch, and the first rows of valid and test are predicted from those before them.

Shapes: B batch, T the window, N rows, K columns.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Sums
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.task import SPLITS, Task
from seqbench.data.arrays.order import orders
from seqbench.data.random_bits import check_data_seed
from seqbench.learners.network import Network
from seqbench.tasks.forecast.errors import Errors


class Windows(Task):
    """Batches of inputs (B, window, K) and targets of that shape. A subclass gives `values_NK`, which the network
    reads, the sizes of the splits in rows, and the errors. The baselines are that a column keeps its last value
    (`rmse` and so on), and the mean of what comes before test (`rmse_of_mean`)."""

    selection = "mse"

    def __init__(
        self,
        values_NK: np.ndarray,
        sizes: dict[str, int],
        errors: Errors,
        window: int,
        batch_size: int,
        eval_batch_size: int,
        data_seed: int,
    ):
        check_data_seed(data_seed)
        if sizes["train"] <= window:
            raise ValueError(f"task.window={window} leaves none of the {sizes['train']:,} rows of train to predict")
        ends = np.cumsum([sizes[split] for split in SPLITS])
        self.values_NK, self.errors, self.window = values_NK, errors, window
        self.first = {"train": window, "valid": int(ends[0]), "test": int(ends[1])}  # row that is predicted
        n_targets = {**sizes, "train": sizes["train"] - window}
        self.index = orders(n_targets, batch_size, eval_batch_size, data_seed)
        n_columns = values_NK.shape[1]
        self.inputs, self.outputs = Inputs(n_features=n_columns), Outputs("reals", n_columns)
        self.test_rows = slice(int(ends[1]), int(ends[2]))
        test_NK, last_NK = values_NK[self.test_rows], values_NK[ends[1] - 1 : ends[2] - 1]
        mean_NK = np.tile(values_NK[: ends[1]].mean(0), (len(test_NK), 1))
        self.baseline = errors.baseline(last_NK, test_NK) | errors.baseline(mean_NK, test_NK, "_of_mean")

    def n_batches(self, split: str) -> int:
        return self.index[split].n_batches

    def batch(self, split: str, index: int) -> Batch:
        rows_B = self.first[split] + self.index[split].examples(index)
        rows_BT = rows_B[:, None] - self.window + np.arange(self.window)
        valid_BT = torch.zeros(rows_BT.shape, dtype=torch.bool)
        valid_BT[:, -1] = True
        inputs_BTK, targets_BTK = (self.values_NK[rows].astype(np.float32) for rows in (rows_BT, rows_BT + 1))
        return Batch(torch.from_numpy(inputs_BTK), torch.from_numpy(targets_BTK), valid_BT)

    @torch.no_grad()
    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        assert isinstance(learner, Network)
        sums, n_values = torch.zeros(len(self.errors.names), dtype=torch.float64), 0
        for batch in batches:
            z_BTK, _, _ = learner.outputs(batch)
            value_BK = batch.targets[:, -1]
            sums += self.errors.sums(z_BTK[:, -1], value_BK)
            n_values += value_BK.numel()
        return self.errors.named(sums, n_values)

    def metrics(self, sums: Sums) -> dict[str, float]:
        return self.errors.metrics(sums)
