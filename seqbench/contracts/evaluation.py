"""The contract of an evaluation: how a split is scored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from seqbench.contracts.batch import Batch
from seqbench.contracts.learner import Learner
from seqbench.contracts.task import SPLITS, Sums, Task


@dataclass(frozen=True)
class Findings:
    """What an evaluation has to tell: `sums`, which are added over processes; `remarks`, which the record keeps beside
    the metrics, such as a score's signature; and `lines`, texts by a file's name, each by its number."""

    sums: Sums
    remarks: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, dict[int, str]] = field(default_factory=dict)


class Evaluation:
    """Scores the batches of a split, which are consecutive. It states what kind it is, so that results of different
    kinds are never compared as one: its `category`, the `context` that a prediction rests on, and the `memory` that it
    keeps beside the model's own state. `splits` are those that it can score."""

    category: str
    context: str
    memory: str
    splits: tuple[str, ...] = SPLITS

    def __call__(self, task: Task, learner: Learner, batches: Iterable[Batch]) -> Findings:
        raise NotImplementedError

    def metrics(self, task: Task, sums: Sums) -> dict[str, float]:
        """The metrics of reduced sums: the task's, and those that are the evaluation's own."""
        return task.metrics(sums)
