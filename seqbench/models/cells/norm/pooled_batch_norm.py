"""Batch normalisation with one statistic for all steps or pixels (Ioffe, Szegedy 2015, arXiv 1502.03167).

    y = g * (x - mean) / sqrt(var + eps),   mean and biased variance over all rows and positions that are no padding

So are feed-forward networks normalised, and the inputs of a recurrence in the "sequence-wise" norm of Laurent, Pereyra,
Brakel, Zhang, Bengio 2015 (arXiv 1510.01378). There is no shift: the model that asks for the norm has one. In
evaluation mode the statistics are the population's (of_batch.py), whose variance is the average of m / (m - 1) times
the batches', each over m rows and positions (algorithm 2).

Shapes: T steps or pixels, B rows, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqbench.contracts.norm import Steps
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, Positive
from seqbench.models.cells.norm.of_batch import OfBatch, moments


class PooledBatchNorm(OfBatch):
    """(T, B, d_input) -> the same, of whole sequences or images.

    - `n_batches` of the training set are what the population's statistics are averaged over (null: all of an epoch).
    - `gain` is the trained gain's value at the start.
    """

    reads = "sequence"

    def __init__(self, d_input: int, n_batches: Count | None = None, gain: float = 1.0, eps: Positive = 1e-5):
        super().__init__(d_input, 1, n_batches)
        self.gain = nn.Parameter(torch.full((d_input,), gain))
        self.eps = eps

    def over_time(self, x_TBD: Tensor, steps: Steps, memory: State) -> tuple[Tensor, State]:
        if self.training:
            valid_1M = None if steps.valid_TB is None else steps.valid_TB.flatten()[None]
            mean_1D, variance_1D, count_1 = moments(x_TBD.flatten(0, 1)[None], valid_1M, steps.peers)
            self.observe(0, mean_1D, variance_1D * (count_1 / (count_1 - 1).clamp_min(1))[:, None], count_1)
        else:
            mean_1D, variance_1D = self.population(0, 1)
        return (x_TBD - mean_1D) * ((variance_1D + self.eps).rsqrt() * self.gain), memory
