"""The contract of an evaluation as checks. They raise `AssertionError`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Evaluation
from seqbench.contracts.learner import Learner
from seqbench.contracts.task import SPLITS, Task


def check_evaluation(
    evaluation: Evaluation, task: Task, learner: Learner, batches: Callable[[], Iterable[Batch]]
) -> None:
    """It says what kind it is, sums finite numbers, leaves the learner's weights as they were, comes to the same a
    second time, and names the same sums in a process that has no batch."""
    for name in ("category", "context", "memory"):
        assert isinstance(getattr(evaluation, name), str), f"the evaluation does not state its {name}"
    assert set(evaluation.splits) <= set(SPLITS), f"{evaluation.splits} are not all splits"
    learner.eval()
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    first, second = (evaluation(task, learner, batches()) for _ in range(2))
    for name, value in learner.state_dict().items():
        assert torch.equal(value, before[name]), f"evaluating has changed {name}"
    assert first.sums == second.sums, "a second evaluation comes to something else"
    for name, (total, count) in first.sums.items():
        assert math.isfinite(total) and count >= 0, f"the sum of {name} is {total} over {count} targets"
    nothing = evaluation(task, learner, iter(()))
    assert nothing.sums == dict.fromkeys(first.sums, (0.0, 0)), "without a batch the sums have other names"
    metrics = evaluation.metrics(task, first.sums)
    assert task.selection in metrics, f"the metrics lack {task.selection}, which selects"
