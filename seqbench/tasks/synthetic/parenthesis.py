"""Parentheses: count the open ones of three kinds, at every step (as Mucllari et al. 2022, arXiv 2208.06496, have it).

Mucllari, Zadorozhnyy, Pospisil, Nguyen, Ye; their code takes the task from that of Foerster et al. 2017. Each token is
one of ( ) [ ] { } and a noise a, each equally probable. An opening one raises its kind's count up to `max_count` M, a
closing one lowers it down to 0:

    input     (  [  a  (  )  )  )
    count ()  1  1  1  2  1  0  0         and so on for [] and {}

A target is three counts, each as one-hot of M + 1 numbers, and the loss the squared error, not a cross entropy. The
head sums it over the 3 (M + 1) numbers; the metric `mse` is the mean over them, as in the authors' code.

The baseline always answers with how often each count occurs, which the chain of counts gives exactly.
"""

from __future__ import annotations

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
from seqbench.evaluation.scoring import score
from seqbench.tasks.synthetic.counted import Counted

N_KINDS = 3
N_TOKENS = 2 * N_KINDS + 1  # token 2k opens a parenthesis of kind k, 2k + 1 closes one, the last is noise


class Parenthesis(Counted, Task):
    """Batches of tokens (B, length) and targets (B, length, 3 (max_count + 1))."""

    selection = "mse"

    def __init__(
        self,
        length: Count,
        max_count: Count = 5,
        batch_size: Count = 16,
        eval_batch_size: Count = 100,
        train_size: Count = 20_000,
        valid_size: Count = 1_000,
        test_size: Count = 1_000,
        fresh: bool = False,
        data_seed: int = 0,
    ):
        super().__init__(length, batch_size, eval_batch_size, train_size, valid_size, test_size, fresh, data_seed)
        self.max_count = max_count
        self.inputs, self.outputs = Inputs(n_tokens=N_TOKENS), Outputs("reals", N_KINDS * (max_count + 1))
        self.version = {"name": "parenthesis", "version": 1, "data_sha256": None}
        self.baseline = {"mse": error_of_marginals(length, max_count)}

    def batch(self, split: str, index: int) -> Batch:
        tokens_BT = (self.draws(split, index, self.length) % N_TOKENS).astype("i8")
        counts_BTK = np.zeros((*tokens_BT.shape, N_KINDS), dtype="i8")
        opening_K = np.arange(0, 2 * N_KINDS, 2)
        token_TB1 = tokens_BT.T[..., None]
        steps_TBK = (token_TB1 == opening_K).astype("i8") - (token_TB1 == opening_K + 1)
        count_BK = counts_BTK[:, 0]
        for step, step_BK in enumerate(steps_TBK):
            count_BK = (count_BK + step_BK).clip(0, self.max_count)
            counts_BTK[:, step] = count_BK
        targets_BTR = F.one_hot(torch.from_numpy(counts_BTK), self.max_count + 1).flatten(2).float()
        return Batch(torch.from_numpy(tokens_BT), targets_BTR)

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score(learner, batches, "mse")

    def metrics(self, sums: Sums) -> dict[str, float]:
        squared_error, n_targets = sums["mse"]
        return {"mse": squared_error / n_targets / self.outputs.size, "n_targets": n_targets}


def error_of_marginals(length: int, max_count: int) -> float:
    """Mean squared error of the best answer that is always the same: each number's mean p, whose error is p (1 - p)."""
    chance = 1 / N_TOKENS  # of one more, and of one less
    p_C, sum_C = np.eye(max_count + 1)[0], np.zeros(max_count + 1)
    for _ in range(length):
        up_C, down_C = chance * p_C, chance * p_C
        p_C = p_C - up_C - down_C
        p_C[1:] += up_C[:-1]
        p_C[:-1] += down_C[1:]
        p_C[-1] += up_C[-1]
        p_C[0] += down_C[0]
        sum_C += p_C
    mean_C = sum_C / length
    return float((mean_C * (1 - mean_C)).mean())
