"""The copying memory task (Hochreiter and Schmidhuber 1997; this form: Arjovsky, Shah, Bengio 2016).

Read K symbols, wait for `delay` steps, repeat the symbols. With a for the symbols (1 to 8), 0 blank, 9 the marker:

    variant  input                            target                    scored
    urnn     a*K  0*(delay-1)  9  0*K         0*(delay+K)  a*K          all; scoRNN, KRU, EURNN alike
    exprnn   a*K  0*delay  9  0*(K-1)         0*(delay+K)  a*K          all
    tcn      a*K  0*(delay-1)  9*(K+1)        0*(delay+K)  a*K          all; inputs are raw numbers, 10 classes
    s4       a*K  0*delay  9*K                0*(delay+K)  a*K          the last K only

A model without memory reaches K ln 8 / (delay + 2K) nats a target (ln 8 where only symbols are scored).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Sums
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.ranges import Count
from seqbench.contracts.task import Task
from seqbench.evaluation.scoring import score_classes
from seqbench.tasks.synthetic.counted import Counted

N_SYMBOLS, MARKER = 8, 9
VARIANTS = ("urnn", "exprnn", "tcn", "s4")


class Copy(Counted, Task):
    """Batches of inputs (B, delay + 2K) and targets of that shape."""

    def __init__(
        self,
        delay: int,
        n_copied: int = 10,
        variant: str = "urnn",
        batch_size: Count = 20,
        eval_batch_size: Count = 100,
        train_size: Count = 20_000,
        valid_size: Count = 1_000,
        test_size: Count = 1_000,
        fresh: bool = False,
        data_seed: int = 0,
    ):
        if variant not in VARIANTS:
            raise ValueError(f"task.variant is one of {', '.join(VARIANTS)}, not {variant!r}")
        if delay < 1 or n_copied < 1:
            raise ValueError("task.delay and task.n_copied are at least 1")
        super().__init__(
            delay + 2 * n_copied, batch_size, eval_batch_size, train_size, valid_size, test_size, fresh, data_seed
        )
        self.delay, self.n_copied, self.variant = delay, n_copied, variant
        raw = variant == "tcn"
        self.inputs = Inputs(n_features=1) if raw else Inputs(n_tokens=10)
        self.outputs = Outputs("classes", 10 if raw else 9)
        self.version = {"name": "copy", "version": 1, "data_sha256": None}
        scored = n_copied if variant == "s4" else self.length
        self.baseline = {"nll": n_copied * math.log(N_SYMBOLS) / scored}

    def batch(self, split: str, index: int) -> Batch:
        symbols_BK = torch.from_numpy(1 + (self.draws(split, index, self.n_copied) % 8).astype("i8"))
        targets_BT = torch.zeros(len(symbols_BK), self.length, dtype=torch.long)
        targets_BT[:, -self.n_copied :] = symbols_BK
        inputs_BT = torch.zeros_like(targets_BT)
        inputs_BT[:, : self.n_copied] = symbols_BK
        marker = self.n_copied + self.delay - (1 if self.variant in ("urnn", "tcn") else 0)
        inputs_BT[:, marker : self.length if self.variant in ("tcn", "s4") else marker + 1] = MARKER
        valid_BT = None
        if self.variant == "s4":
            valid_BT = torch.zeros_like(targets_BT, dtype=torch.bool)
            valid_BT[:, -self.n_copied :] = True
        inputs = inputs_BT.unsqueeze(-1).float() if self.variant == "tcn" else inputs_BT
        return Batch(inputs, targets_BT, valid_BT)

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score_classes(learner, batches, self.n_copied)

    def metrics(self, sums: Sums) -> dict[str, float]:
        (nll, n_targets), (correct, n_symbols) = sums["nll"], sums["accuracy"]
        return {"nll": nll / n_targets, "accuracy": correct / n_symbols, "n_targets": n_targets}
