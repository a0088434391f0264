"""Plain evaluation: every target once, the state carried, nothing learned at test time."""

from __future__ import annotations

from collections.abc import Iterable

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Evaluation, Findings
from seqbench.contracts.learner import Learner
from seqbench.contracts.task import Task


class Static(Evaluation):
    """Nothing is learned, cached or averaged at test time."""

    category = "static"
    context = "all that the model carries from the start"
    memory = "none"

    def __call__(self, task: Task, learner: Learner, batches: Iterable[Batch]) -> Findings:
        return Findings(task.evaluate(learner, batches))
