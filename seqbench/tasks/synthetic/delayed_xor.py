"""Delayed XOR: say whether two bits of some steps ago differed, at every step; a made task, of no one paper.

    y_t = x_{t-delay} xor x_{t-delay-1},    delay = 2:

    input    1 0 0 1 1 0
    target   . . . 1 0 1          the first delay + 1 targets are not scored

A model without memory reaches ln 2 nats a target, and so does one that is linear in its inputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.ranges import Count
from seqbench.contracts.task import Sums, Task
from seqbench.evaluation.scoring import score_classes
from seqbench.tasks.synthetic.counted import Counted


class DelayedXOR(Counted, Task):
    """Batches of bits (B, length) as tokens, and targets of that shape."""

    def __init__(
        self,
        delay: Count,
        length: Count = 50,
        batch_size: Count = 20,
        eval_batch_size: Count = 100,
        train_size: Count = 20_000,
        valid_size: Count = 1_000,
        test_size: Count = 1_000,
        fresh: bool = False,
        data_seed: int = 0,
    ):
        if length < delay + 2:
            raise ValueError(f"length is at least delay + 2 = {delay + 2}, not {length}: no target would be scored")
        super().__init__(length, batch_size, eval_batch_size, train_size, valid_size, test_size, fresh, data_seed)
        self.delay = delay
        self.inputs, self.outputs = Inputs(n_tokens=2), Outputs("classes", 2)
        self.version = {"name": "delayed_xor", "version": 1, "data_sha256": None}
        self.baseline = {"nll": math.log(2)}

    def batch(self, split: str, index: int) -> Batch:
        bits_BT = torch.from_numpy((self.draws(split, index, self.length) % 2).astype("i8"))
        skipped = self.delay + 1
        targets_BT = torch.zeros_like(bits_BT)
        targets_BT[:, skipped:] = bits_BT[:, 1 : self.length - self.delay] ^ bits_BT[:, : self.length - skipped]
        valid_BT = torch.zeros_like(bits_BT, dtype=torch.bool)
        valid_BT[:, skipped:] = True
        return Batch(bits_BT, targets_BT, valid_BT)

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score_classes(learner, batches, self.length - self.delay - 1)

    def metrics(self, sums: Sums) -> dict[str, float]:
        (nll, n_targets), (correct, n_symbols) = sums["nll"], sums["accuracy"]
        return {"nll": nll / n_targets, "accuracy": correct / n_symbols, "n_targets": n_targets}
