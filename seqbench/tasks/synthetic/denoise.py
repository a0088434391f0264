"""Denoising: digits scattered among blanks, to be repeated in order (as Mucllari et al. 2022 have it).

Mucllari, Zadorozhnyy, Pospisil, Nguyen, Ye, arXiv 2208.06496; the task is that of GORU (Jing et al. 2017). K digits a
(1 to 9) lie among T + K - 1 steps; 0 is blank, M a marker:

    input     0 0 a 0 a 0 ... a 0  M  0*K         target    0*(T+K)  a*K         scored: all

Two things are as the authors' code has them. Places are drawn with replacement, so that of two digits at one place the
later is seen alone, and yet both are asked for: at K = 10 in 35 % of the sequences of T = 100, in 20 % of those of
T = 200. And the marker, whose one-hot vector of 10 numbers would need an eleventh, is the vector of zeros.

A model without memory reaches K ln 9 / (T + 2K) nats a target: 0.183 at T = 100, 0.0999 at T = 200. For the digits that
are not seen no model comes below 0.023 and 0.0070 (by simulation, in tests/tasks/test_denoise.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Sums
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.ranges import Count
from seqbench.contracts.task import Task
from seqbench.evaluation.scoring import score_classes
from seqbench.tasks.synthetic.counted import Counted

N_CLASSES = 10  # blank, and the digits 1 to 9


class Denoise(Counted, Task):
    """Batches of inputs (B, delay + 2 n_digits, 10), one-hot but for the marker, and targets of the first two axes."""

    def __init__(
        self,
        delay: Count,
        n_digits: Count = 10,
        batch_size: Count = 128,
        eval_batch_size: Count = 100,
        train_size: Count = 20_000,
        valid_size: Count = 1_000,
        test_size: Count = 1_000,
        fresh: bool = False,
        data_seed: int = 0,
    ):
        super().__init__(
            delay + 2 * n_digits, batch_size, eval_batch_size, train_size, valid_size, test_size, fresh, data_seed
        )
        self.n_digits = n_digits
        self.n_places = delay + n_digits - 1
        self.inputs, self.outputs = Inputs(n_features=N_CLASSES), Outputs("classes", N_CLASSES)
        self.version = {"name": "denoise", "version": 1, "data_sha256": None}
        self.baseline = {"nll": n_digits * math.log(N_CLASSES - 1) / self.length}

    def batch(self, split: str, index: int) -> Batch:
        draws = self.draws(split, index, 2 * self.n_digits)
        digits_BK = 1 + (draws[:, : self.n_digits] % (N_CLASSES - 1)).astype("i8")
        places_BK = np.sort((draws[:, self.n_digits :] % self.n_places).astype("i8"), axis=1)
        symbols_BT = np.zeros((len(draws), self.length), dtype="i8")
        for k in range(self.n_digits):  # in order: the later of two at one place stays
            symbols_BT[np.arange(len(draws)), places_BK[:, k]] = digits_BK[:, k]
        inputs_BTD = F.one_hot(torch.from_numpy(symbols_BT), N_CLASSES).float()
        inputs_BTD[:, self.n_places] = 0
        targets_BT = torch.zeros(len(draws), self.length, dtype=torch.long)
        targets_BT[:, -self.n_digits :] = torch.from_numpy(digits_BK)
        return Batch(inputs_BTD, targets_BT)

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score_classes(learner, batches, self.n_digits)

    def metrics(self, sums: Sums) -> dict[str, float]:
        (nll, n_targets), (correct, n_symbols) = sums["nll"], sums["accuracy"]
        return {"nll": nll / n_targets, "accuracy": correct / n_symbols, "n_targets": n_targets}
