"""Plain evaluation: the trained weights, every target of the split scored once."""

from __future__ import annotations

from collections.abc import Iterable

from seqbench.evaluation.scoring import Sums
from seqbench.network import Network
from seqbench.types import Batch


class Static:
    """Category "static": nothing is learned, cached or averaged at test time."""

    category = "static"

    def __call__(self, task, network: Network, batches: Iterable[Batch]) -> Sums:
        return task.evaluate(network, batches)
