"""Batch normalisation of feed-forward networks (Ioffe, Szegedy 2015, arXiv 1502.03167, algorithms 1 and 2).

    y = g * (x - mean) / sqrt(var + eps),   mean and biased variance over all rows and positions of the batch

There is no shift: the model that asks for the norm has one. In evaluation mode the statistics are those of the
population: the plain average, over training batches, of the batches' means and of m / (m - 1) times their variances, m
being a batch's rows and positions. They are estimated with the weights as they are and all layers in training mode,
before each evaluation.

Shapes: S positions, N rows, D features.
"""

from __future__ import annotations

from torch import Tensor

from seqbench.contracts.peers import Alone, Peers
from seqbench.contracts.ranges import Count, Positive
from seqbench.models.cells.norm.batch_norm import BatchNorm, moments


class PooledBatchNorm(BatchNorm):
    """(S, N, d_input) -> the same.

    - `n_batches` of the training set are what the population's statistics are averaged over (null: all of an epoch).
    - `gain` is the trained gain's value at the start.
    """

    couples_positions = True

    def __init__(self, d_input: int, n_batches: Count | None = None, gain: float = 1.0, eps: Positive = 1e-5):
        super().__init__(d_input, 1, n_batches, gain, eps)

    def forward(self, x: Tensor, start: int = 0, valid_TB: Tensor | None = None, peers: Peers | None = None) -> Tensor:
        x_1MD = x.reshape(1, -1, x.shape[-1])
        valid_1M = None if valid_TB is None else valid_TB.reshape(1, -1)
        if self.training:
            mean_1D, variance_1D, count_1 = moments(x_1MD, valid_1M, peers or Alone())
            self.observe(0, mean_1D, variance_1D * (count_1 / (count_1 - 1).clamp_min(1))[:, None], count_1)
        else:
            mean_1D, variance_1D = self.mean_SD, self.variance_SD
        return (x - mean_1D) * ((variance_1D + self.eps).rsqrt() * self.gain)
