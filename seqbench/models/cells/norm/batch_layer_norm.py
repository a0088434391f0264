"""Batch layer normalisation: a weighted sum of batch and layer normalisation (Ziaee and Çano 2022, arXiv 2209.08898).

    y = g * (w_f (x - mean_f) / sqrt(var_f + eps) + w_b (x - mean_b) / sqrt(var_b + eps)) / sqrt(D) + b
    w_f = 1 / B - 1e-4    w_b = 1 - (1 / B + 1e-4)

mean_f and var_f are over a position's features, mean_b and var_b over the rows of the batch at one step, each step for
itself; variances are biased, B is the batch's size in training.

In evaluation the authors choose, for each of the four statistics by itself, between the batch at hand and sums over the
last epoch of training: 16 ways, of which they report the best on test. Here mean_b and var_b are the population's
(of_batch.py) and mean_f and var_f the position's own, so that a row's output depends neither on the rows beside it nor
on its place among them. Theirs differ from that: the sums are of weights that change, each variance is multiplied by
B / (B - 1), the features' too, and the features' sums are kept for each place in a batch.

Shapes: T time, B batch, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqbench.contracts.norm import Steps
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, Positive
from seqbench.models.cells.norm.of_batch import OfBatch


class BatchLayerNorm(OfBatch):
    """(T, B, d_input) -> the same.

    - `batch_size` is B, the number of rows of a training batch in all processes. It sets the weights alone.
    - `n_steps`: so many steps have statistics of their own; a later one takes those of the last.
    - `n_batches` of the training set are what the population's statistics are averaged over (null: all of an epoch).
    """

    def __init__(
        self, d_input: int, batch_size: Count, n_steps: Count, n_batches: Count | None = None, eps: Positive = 1e-3
    ):
        super().__init__(d_input, n_steps, n_batches)
        self.gain, self.bias = nn.Parameter(torch.ones(d_input)), nn.Parameter(torch.zeros(d_input))
        self.eps = eps
        self.weight_features, self.weight_batch = 1 / batch_size - 1e-4, 1 - (1 / batch_size + 1e-4)

    def over_time(self, x_TBD: Tensor, steps: Steps, memory: State) -> tuple[Tensor, State]:
        mean_TD, variance_TD = self.statistics(x_TBD, steps)
        of_batch_TBD = (x_TBD - mean_TD[:, None]) * (variance_TD + self.eps).rsqrt()[:, None]
        variance_TB1, mean_TB1 = torch.var_mean(x_TBD, -1, correction=0, keepdim=True)
        of_features_TBD = (x_TBD - mean_TB1) * (variance_TB1 + self.eps).rsqrt()
        sum_TBD = self.weight_features * of_features_TBD + self.weight_batch * of_batch_TBD
        return sum_TBD * (self.gain / len(self.gain) ** 0.5) + self.bias, memory
