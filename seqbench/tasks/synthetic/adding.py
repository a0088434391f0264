"""The adding problem (Hochreiter and Schmidhuber 1997; this form: Arjovsky, Shah, Bengio 2016).

At each step the input is a number u ~ U(0, 1) and a flag; two flags are set, and the target at the last step is the sum
of the two flagged numbers:

    u       .31 .72 .05 .94 .48 .66          target: .72 + .48 = 1.20
    flag     0   1   0   0   1   0

    variant  first flag in    second flag in    papers
    urnn     [0, T/2)         [T/2, T)          uRNN, S4
    scornn   [0, h)           [h, T)            scoRNN, ATN: h = floor((T - 1) / 2)
    tcn      two different positions anywhere   TCN

Predicting 1 always has mean squared error 1/6.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Sums
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.ranges import Count
from seqbench.contracts.task import Task
from seqbench.evaluation.scoring import score
from seqbench.tasks.synthetic.counted import Counted

VARIANTS = ("urnn", "scornn", "tcn")


class Adding(Counted, Task):
    """Batches of inputs (B, length, 2), targets (B, length, 1) and a mask that scores the last step alone."""

    selection = "mse"

    def __init__(
        self,
        length: int,
        variant: str = "urnn",
        batch_size: Count = 50,
        eval_batch_size: Count = 500,
        train_size: Count = 100_000,
        valid_size: Count = 10_000,
        test_size: Count = 10_000,
        fresh: bool = False,
        data_seed: int = 0,
    ):
        if variant not in VARIANTS:
            raise ValueError(f"task.variant is one of {', '.join(VARIANTS)}, not {variant!r}")
        if length < 4:
            raise ValueError("task.length is at least 4")
        super().__init__(length, batch_size, eval_batch_size, train_size, valid_size, test_size, fresh, data_seed)
        self.variant = variant
        self.inputs, self.outputs = Inputs(n_features=2), Outputs("reals", 1)
        self.version = {"name": "adding", "version": 1, "data_sha256": None}
        self.baseline = {"mse": 1 / 6}

    def batch(self, split: str, index: int) -> Batch:
        # 53 random bits to doubles in [0, 1), as NumPy's own generators do
        uniform = (self.draws(split, index, self.length + 2) >> np.uint64(11)) * 2.0**-53
        n_rows = len(uniform)
        numbers_BT, place_B2 = uniform[:, : self.length], uniform[:, self.length :]
        flagged_B2 = self._positions(place_B2)
        row_B1 = np.arange(n_rows)[:, None]
        inputs_BTD = np.zeros((n_rows, self.length, 2), dtype=np.float32)
        inputs_BTD[..., 0] = numbers_BT
        inputs_BTD[row_B1, flagged_B2, 1] = 1
        targets_BTD = np.zeros((n_rows, self.length, 1), dtype=np.float32)
        targets_BTD[:, -1, 0] = inputs_BTD[row_B1, flagged_B2, 0].sum(1)
        valid_BT = torch.zeros(n_rows, self.length, dtype=torch.bool)
        valid_BT[:, -1] = True
        return Batch(torch.from_numpy(inputs_BTD), torch.from_numpy(targets_BTD), valid_BT)

    def _positions(self, place_B2: np.ndarray) -> np.ndarray:
        if self.variant == "tcn":
            first_B = (place_B2[:, 0] * self.length).astype(int)
            shift_B = 1 + (place_B2[:, 1] * (self.length - 1)).astype(int)
            return np.stack([first_B, (first_B + shift_B) % self.length], axis=1)
        half = self.length // 2 if self.variant == "urnn" else (self.length - 1) // 2
        first_B = (place_B2[:, 0] * half).astype(int)
        second_B = half + (place_B2[:, 1] * (self.length - half)).astype(int)
        return np.stack([first_B, second_B], axis=1)

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score(learner, batches, "mse")

    def metrics(self, sums: Sums) -> dict[str, float]:
        squared_error, n_targets = sums["mse"]
        return {"mse": squared_error / n_targets, "n_targets": n_targets}
