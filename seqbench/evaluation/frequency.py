"""Plain evaluation in bands of training frequency (as in Rae et al. 2018, arXiv 1803.10049).

A band holds the words that occur so often in the training split.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Evaluation, Findings
from seqbench.contracts.learner import Learner
from seqbench.contracts.ranges import Count
from seqbench.contracts.task import Task
from seqbench.evaluation.protocols import Vocabulary, require
from seqbench.learners.network import Network


class Frequency(Evaluation):
    """`counts` are the edges of bands of training counts, rising: the band `nll_from_100` holds words that occur at
    least 100 times and less often than the next edge; the first band, `nll_from_0`, is that of the rarest."""

    category = "static"
    context = "all that the model carries from the start"
    memory = "none"

    def __init__(self, counts: Sequence[Count]):
        if list(counts) != sorted(set(counts)) or any(count < 1 for count in counts):
            raise ValueError(f"counts must be positive and rise, not {list(counts)}")
        self.edges = [0, *counts]

    @torch.no_grad()
    def __call__(self, task: Task, learner: Learner, batches: Iterable[Batch]) -> Findings:
        vocabulary = require(task, Vocabulary, "frequency", "language modelling")
        assert isinstance(learner, Network)
        n_seen_V = torch.from_numpy(vocabulary.token_counts())
        band_V = torch.bucketize(n_seen_V, torch.tensor(self.edges[1:]), right=True)
        sums = torch.zeros(len(self.edges), dtype=torch.float64)
        numbers = torch.zeros(len(self.edges), dtype=torch.long)
        state = None
        for batch in batches:
            y_BTD, state = learner.features(batch.inputs, None if batch.reset else state)
            target_N = batch.targets.flatten()
            losses_N = learner.head_losses(y_BTD.flatten(0, 1), target_N).double().cpu()
            band_N = band_V[target_N.cpu()]
            sums.index_add_(0, band_N, losses_N)
            numbers += torch.bincount(band_N, minlength=len(self.edges))
        by_band = {
            f"nll_from_{edge}": (float(sums[index]), int(numbers[index])) for index, edge in enumerate(self.edges)
        }
        return Findings({"nll": (float(sums.sum()), int(numbers.sum())), **by_band})
