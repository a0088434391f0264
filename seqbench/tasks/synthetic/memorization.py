"""Recall of random inputs some steps back (Illium, Schillman, Müller, Gabor, Linnhoff-Popien 2022, arXiv 2212.11085).

A sequence is of independent random inputs and of a random length; after its last one, the network recalls the input
that came `distance` steps before, 0 being the last itself. The paper leaves distribution, loss and sizes open: here
numbers are from U(0, 1) and recalled by regression, symbols are uniform and recalled as one of as many classes.

    input    .31 .72 .05 .94 .48        distances: [0, 2]        targets: .48, .05

A network without memory has a mean squared error of 1/12 for each distance above 0, or ln(n_symbols) nats.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Sums
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.ranges import Count, NotNegativeInt
from seqbench.contracts.task import Task
from seqbench.evaluation.scoring import score, score_labels
from seqbench.tasks.synthetic.counted import Counted


class _Recall(Counted):
    """Sequences of `min_length` to `max_length` steps, padded at their end."""

    def __init__(self, farthest: int, min_length: int, max_length: int, sizes: tuple[int, ...], fresh: bool, seed: int):
        if not farthest < min_length <= max_length:
            raise ValueError(
                f"task.min_length={min_length} is above the farthest distance, {farthest}, and at most "
                f"task.max_length={max_length}"
            )
        batch_size, eval_batch_size, train_size, valid_size, test_size = sizes
        super().__init__(
            max_length, batch_size, eval_batch_size, train_size, valid_size, test_size, fresh, data_seed=seed
        )
        self.min_length = min_length

    def lengths_and_inputs(self, split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
        """(B,) and (B, max_length): U(0, 1), 0 where there is padding."""
        uniform = (self.draws(split, index, 1 + self.length) >> np.uint64(11)) * 2.0**-53
        length_B = self.min_length + (uniform[:, 0] * (self.length - self.min_length + 1)).astype(int)
        return length_B, uniform[:, 1:] * (np.arange(self.length) < length_B[:, None])

    def valid(self, length_B: np.ndarray) -> Tensor:
        """(B, max_length): the positions that are no padding."""
        return torch.from_numpy(np.arange(self.length) < length_B[:, None])


class Memorization(_Recall, Task):
    """Batches of numbers (B, max_length, 1) and of the recalled ones (B, n_distances).

    - distances: that are recalled at once, by an output each; the paper has one a run.
    """

    selection = "mse"

    def __init__(
        self,
        distances: Sequence[NotNegativeInt],
        min_length: Count = 10,
        max_length: Count = 20,
        batch_size: Count = 128,
        eval_batch_size: Count = 500,
        train_size: Count = 100_000,
        valid_size: Count = 5_000,
        test_size: Count = 5_000,
        fresh: bool = True,
        data_seed: int = 0,
    ):
        if not distances or len({*distances}) < len(distances) or min(distances) < 0:
            raise ValueError(f"task.distances are different numbers of steps, at least one, not {list(distances)}")
        sizes = (batch_size, eval_batch_size, train_size, valid_size, test_size)
        super().__init__(max(distances), min_length, max_length, sizes, fresh, data_seed)
        self.distances = list(distances)
        self.inputs, self.outputs = Inputs(n_features=1), Outputs("reals", len(self.distances), "sequence")
        self.version = {"name": "memorization", "version": 1, "data_sha256": None}
        n_remembered = sum(distance > 0 for distance in self.distances)
        self.baseline = {"mse": n_remembered / len(self.distances) / 12}

    def batch(self, split: str, index: int) -> Batch:
        length_B, number_BT = self.lengths_and_inputs(split, index)
        place_BN = length_B[:, None] - 1 - np.array(self.distances)
        targets_BN = np.take_along_axis(number_BT, place_BN, 1)
        return Batch(
            torch.from_numpy(number_BT[..., None].astype("f4")),
            torch.from_numpy(targets_BN.astype("f4")),
            inputs_valid_BT=self.valid(length_B),
        )

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score(learner, batches, "mse")

    def metrics(self, sums: Sums) -> dict[str, float]:
        squared_error, n_targets = sums["mse"]
        return {"mse": squared_error / n_targets, "n_targets": n_targets}


class MemorizationOfSymbols(_Recall, Task):
    """Recall of a random symbol some steps back: as memorization, of one distance and by classification.

    Batches of symbols (B, max_length), and of the one recalled (B,)."""

    def __init__(
        self,
        distance: NotNegativeInt,
        n_symbols: Count = 8,
        min_length: Count = 10,
        max_length: Count = 20,
        batch_size: Count = 128,
        eval_batch_size: Count = 500,
        train_size: Count = 100_000,
        valid_size: Count = 5_000,
        test_size: Count = 5_000,
        fresh: bool = True,
        data_seed: int = 0,
    ):
        if n_symbols < 2:
            raise ValueError(f"task.n_symbols is at least 2, not {n_symbols}: one alone needs no memory")
        sizes = (batch_size, eval_batch_size, train_size, valid_size, test_size)
        super().__init__(distance, min_length, max_length, sizes, fresh, data_seed)
        self.distance, self.n_symbols = distance, n_symbols
        self.inputs, self.outputs = Inputs(n_tokens=n_symbols), Outputs("classes", n_symbols, "sequence")
        self.version = {"name": "memorization_of_symbols", "version": 1, "data_sha256": None}
        self.baseline = {"nll": math.log(n_symbols) if distance else 0.0}

    def batch(self, split: str, index: int) -> Batch:
        length_B, number_BT = self.lengths_and_inputs(split, index)
        symbol_BT = (number_BT * self.n_symbols).astype("i8")
        target_B = symbol_BT[np.arange(len(symbol_BT)), length_B - 1 - self.distance]
        return Batch(torch.from_numpy(symbol_BT), torch.from_numpy(target_B), inputs_valid_BT=self.valid(length_B))

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score_labels(learner, batches)

    def metrics(self, sums: Sums) -> dict[str, float]:
        (nll, n_sequences), (wrong, _) = sums["nll"], sums["error"]
        return {"nll": nll / n_sequences, "accuracy": 1 - wrong / n_sequences, "n_targets": n_sequences}
