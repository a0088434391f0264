"""Batch normalisation with statistics for each time step (Cooijmans et al. 2016, arXiv 1603.09025).

    y_t = g * (x_t - mean_t) / sqrt(var_t + eps),   mean and biased variance over the rows of the batch, at step t alone

There is no shift: the model that asks for the norm has one. In evaluation mode the statistics are the population's
(of_batch.py).

Shapes: T time, B batch, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqbench.contracts.norm import Steps
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, Positive
from seqbench.models.cells.norm.of_batch import OfBatch


class BatchNorm(OfBatch):
    """(T, B, d_input) -> the same.

    - `n_steps`: so many steps have statistics of their own; a later one takes those of the last, and so does a step
      that no training batch reached.
    - `n_batches` of the training set are what the population's statistics are averaged over (null: all of an epoch).
    - `gain` is the trained gain's value at the start. The paper has 0.1, for a tanh that is not saturated.
    - `cyclic`: a step takes the statistics of its number modulo `n_steps`. Where a text is read in windows of `n_steps`
      with a carried state, that is its position in the window (Laurent et al. 2015, "frame-wise").
    """

    def __init__(
        self,
        d_input: int,
        n_steps: Count,
        n_batches: Count | None = None,
        gain: float = 0.1,
        eps: Positive = 1e-5,
        cyclic: bool = False,
    ):
        super().__init__(d_input, n_steps, n_batches, cyclic)
        self.gain = nn.Parameter(torch.full((d_input,), gain))
        self.eps = eps

    def over_time(self, x_TBD: Tensor, steps: Steps, memory: State) -> tuple[Tensor, State]:
        mean_TD, variance_TD = self.statistics(x_TBD, steps)
        scale_TD = (variance_TD + self.eps).rsqrt() * self.gain
        return (x_TBD - mean_TD[:, None]) * scale_TD[:, None], memory
