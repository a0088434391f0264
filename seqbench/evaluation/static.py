"""Plain evaluation: the trained weights, every target of the split scored once.

What every evaluation states of itself, so that results of different kinds are never set side by side as one:
`category`, the `context` a prediction rests on, and the `memory` kept beside the model's own state.
"""

from __future__ import annotations

from collections.abc import Iterable

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Evaluation, Sums
from seqbench.learners.network import Network


class Static(Evaluation):
    """Nothing is learned, cached or averaged at test time."""

    category = "static"
    context = "all that the model carries from the start"
    memory = "none"

    def __call__(self, task, network: Network, batches: Iterable[Batch]) -> Sums:
        return task.evaluate(network, batches)
