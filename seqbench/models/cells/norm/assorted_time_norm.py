"""Assorted-time normalisation: layer norm over the last k steps (Pospisil et al. 2022, arXiv 2209.14439).

    y_t = g * (x_t - mean_t) / sqrt(var_t + eps) + b,   mean and biased variance over all features of k steps, up to t

A sequence's first steps have shorter windows. Gradients flow through all steps of a window, as far back as the memory
has a history. With k = 1 this is layer normalisation.

What is remembered of a step are the mean and the variance of its own features, of which a window's are

    mean = avg mean_j    var = avg (var_j + (mean_j - mean)^2)

Shapes: T time, B batch, D features, M remembered steps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqbench.contracts.norm import Norm, Steps
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, Positive


class AssortedTimeNorm(Norm):
    """(T, B, d_input) -> the same. Memory: means and variances (B, M, 2) of the last steps, at most `k` - 1."""

    reads = "past"

    def __init__(self, d_input: int, k: Count, eps: Positive = 1e-5):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(d_input)), nn.Parameter(torch.zeros(d_input))
        self.k, self.eps = k, eps

    def forward(self, x: Tensor) -> Tensor:
        return self.over_time(x, Steps(), None)[0]

    def over_time(self, x_TBD: Tensor, steps: Steps, memory: State) -> tuple[Tensor, State]:
        variance_TB, mean_TB = torch.var_mean(x_TBD, -1, correction=0)
        own_BT2 = torch.stack([mean_TB.T, variance_TB.T], -1)
        known_BS2 = own_BT2 if memory is None else torch.cat([memory, own_BT2], 1)
        n_before, outputs = known_BS2.shape[1] - len(x_TBD), [x_TBD[:0]]
        for t, x_BD in enumerate(x_TBD.unbind(0)):
            end = n_before + t + 1
            mean_BK, variance_BK = known_BS2[:, max(end - self.k, 0) : end].unbind(-1)
            mean_B1 = mean_BK.mean(1, keepdim=True)
            variance_B1 = (variance_BK + (mean_BK - mean_B1).square()).mean(1, keepdim=True)
            outputs.append(((x_BD - mean_B1) * (variance_B1 + self.eps).rsqrt() * self.weight + self.bias)[None])
        return torch.cat(outputs), known_BS2[:, max(known_BS2.shape[1] - self.k + 1, 0) :]
