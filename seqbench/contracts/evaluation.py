"""The contract of an evaluation: how a split is scored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seqbench.contracts.batch import Batch

Sums = dict[str, tuple[float, int]]  # metric -> (sum over targets, number of targets)


class Evaluation:
    """Scores the batches of a split, which are consecutive. It states what kind it is, so that results of different
    kinds are never compared as one: its `category`, the `context` that a prediction rests on, and the `memory` that it
    keeps beside the model's own state."""

    category: str
    context: str
    memory: str

    def __call__(self, task: Any, network: Any, batches: Iterable[Batch]) -> Sums:
        raise NotImplementedError
