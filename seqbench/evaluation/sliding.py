"""Evaluation with a bounded context: each target sees the last `context` tokens, or a few more.

For a model without memory of its own it is all there is; for one with a memory it shows how far back that reaches.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Evaluation, Findings
from seqbench.contracts.learner import Learner
from seqbench.contracts.ranges import Count, NotNegativeInt
from seqbench.contracts.task import Task
from seqbench.evaluation.protocols import Stream, require
from seqbench.learners.network import Network


class Sliding(Evaluation):
    """Windows of `context` + `stride` tokens, `stride` apart, each read from a blank state and scored on its last
    `stride`. So a target sees `context` to `context` + `stride` - 1 tokens before the one it is predicted from, where
    the split has as many. `batch_size` windows are read side by side; it does not change the result.
    """

    category = "sliding"
    memory = "none"

    def __init__(self, context: NotNegativeInt, stride: Count, batch_size: Count = 16):
        if context < 0 or stride < 1 or batch_size < 1:
            raise ValueError("context is at least 0, stride and batch_size at least 1")
        self.n_before, self.stride, self.batch_size = context, stride, batch_size
        self.context = f"{context:,} to {context + stride - 1:,} tokens"

    @torch.no_grad()
    def __call__(self, task: Task, learner: Learner, batches: Iterable[Batch]) -> Findings:
        require(task, Stream, self.category, "language modelling")
        assert isinstance(learner, Network)
        network = learner
        whole = list(batches)
        if not whole:  # the one text is another process's
            return Findings({"nll": (0.0, 0)})
        text = whole[0].followed_by(whole[1:])
        rows = [self._row(network, *row) for row in zip(text.inputs, text.targets, strict=True)]
        return Findings({"nll": (sum(total for total, _ in rows), sum(count for _, count in rows))})

    def _row(self, network: Network, inputs_L: Tensor, targets_L: Tensor) -> tuple[float, int]:
        """The sum of the losses of one text, and the number of its targets."""
        firsts = range(0, len(targets_L), self.stride)
        # windows of one length go together: those at the start, and the last, are shorter
        full = [first for first in firsts if first >= self.n_before and first + self.stride <= len(targets_L)]
        total = 0.0
        for start in range(0, len(full), self.batch_size):
            total += self._score(network, inputs_L, targets_L, full[start : start + self.batch_size])
        for first in sorted({*firsts} - {*full}):
            total += self._score(network, inputs_L, targets_L, [first])
        return total, len(targets_L)

    def _score(self, network: Network, inputs_L: Tensor, targets_L: Tensor, firsts: list[int]) -> float:
        spans = [slice(max(0, first - self.n_before), first + self.stride) for first in firsts]
        inputs_BT = torch.stack([inputs_L[span] for span in spans])
        valid_BT = torch.zeros_like(inputs_BT, dtype=torch.bool)
        valid_BT[:, firsts[0] - spans[0].start :] = True
        loss_sum, _, _ = network(Batch(inputs_BT, torch.stack([targets_L[span] for span in spans]), valid_BT))
        return float(loss_sum.double())
