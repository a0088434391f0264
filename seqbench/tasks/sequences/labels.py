"""What tasks of one class a sequence measure."""

from __future__ import annotations

from collections.abc import Iterable

from seqbench.contracts.batch import Batch
from seqbench.contracts.learner import Learner
from seqbench.contracts.task import Sums, Task
from seqbench.evaluation.scoring import score_labels


class Labelling(Task):
    """One class a sequence: `nll` in nats, `error`, the share of wrong classes, which selects, and `accuracy`."""

    selection = "error"

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score_labels(learner, batches)

    def metrics(self, sums: Sums) -> dict[str, float]:
        (nll, n_targets), (wrong, _) = sums["nll"], sums["error"]
        error = wrong / n_targets
        return {"nll": nll / n_targets, "error": error, "accuracy": 1 - error, "n_targets": n_targets}
