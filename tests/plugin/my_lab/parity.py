"""Parity: at each step, is the number of ones so far odd? Of no paper."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.task import SPLITS, Sums, Task
from seqbench.evaluation.scoring import score


class Parity(Task):
    """Inputs (B, length) of 0 and 1, a target of 0 or 1 at each step."""

    def __init__(self, length: int, batch_size: int, n_sequences: int):
        self.length, self.batch_size, self.n_sequences = length, batch_size, n_sequences
        self.inputs, self.outputs = Inputs(n_tokens=2), Outputs("classes", 2)
        self.version = {"name": "parity", "version": 1, "data_sha256": None}
        self.baseline = {"nll": math.log(2)}

    def n_batches(self, split: str) -> int:
        return math.ceil(self.n_sequences / self.batch_size)

    def batch(self, split: str, index: int) -> Batch:
        generator = torch.Generator().manual_seed(SPLITS.index(split))
        bits_NT = torch.randint(0, 2, (self.n_sequences, self.length), generator=generator)
        first = index % self.n_batches(split) * self.batch_size
        bits_BT = bits_NT[first : first + self.batch_size].clone()
        return Batch(bits_BT, bits_BT.cumsum(1) % 2)

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score(learner, batches, "nll")

    def metrics(self, sums: Sums) -> dict[str, float]:
        nll, n_targets = sums["nll"]
        return {"nll": nll / n_targets, "n_targets": n_targets}
