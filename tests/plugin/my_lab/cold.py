"""Every batch read from a blank state."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Evaluation, Findings
from seqbench.contracts.learner import Learner
from seqbench.contracts.task import Task


class Cold(Evaluation):
    """The plain loss, with the state dropped before each batch."""

    category = "cold"
    context = "one batch"
    memory = "none"

    @torch.no_grad()
    def __call__(self, task: Task, learner: Learner, batches: Iterable[Batch]) -> Findings:
        total, count = 0.0, 0
        for batch in batches:
            total += float(learner(batch)[0].double())
            count += batch.count()
        return Findings({"nll": (total, count)})
