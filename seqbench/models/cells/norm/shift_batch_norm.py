"""Shift-based batch normalisation: no products but by powers of two (Courbariaux et al. 2016, arXiv 1602.02830).

    d_t = x_t - mean_t       v_t = mean(d_t AP2(d_t))       y_t = AP2(g) d_t AP2(1 / sqrt(v_t + eps))

AP2(z) is the power of two that is nearest to z in the logarithm (cells/quantizer/power_of_two.py). There is no shift:
the model that asks for the norm has one. The population's v is the average of batches', where the authors' Torch code
averages 1 / sqrt(v + eps), and gradients pass straight through AP2, where it takes AP2 in them, too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqbench.contracts.norm import Steps
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, Positive
from seqbench.models.cells.norm.of_batch import OfBatch, moments
from seqbench.models.cells.quantizer.power_of_two import power_of_two
from seqbench.models.cells.quantizer.straight_through import straight_through


class ShiftBatchNorm(OfBatch):
    """(T, B, d_input) -> the same. The arguments are batch_norm's."""

    def __init__(
        self, d_input: int, n_steps: Count, n_batches: Count | None = None, gain: float = 0.1, eps: Positive = 1e-5
    ):
        super().__init__(d_input, n_steps, n_batches)
        self.gain = nn.Parameter(torch.full((d_input,), gain))
        self.eps = eps

    def over_time(self, x_TBD: Tensor, steps: Steps, memory: State) -> tuple[Tensor, State]:
        mean_TD, variance_TD = self._moments(x_TBD, steps) if self.training else self.statistics(x_TBD, steps)
        inverse_TD = _shift((variance_TD + self.eps).rsqrt())
        return (x_TBD - mean_TD[:, None]) * (inverse_TD * _shift(self.gain))[:, None], memory

    def _moments(self, x_TBD: Tensor, steps: Steps) -> tuple[Tensor, Tensor]:
        """Mean and v (T, D) of a batch."""
        mean_TD, _, count_T = moments(x_TBD, steps.valid_TB, steps.peers)
        d_TBD = x_TBD - mean_TD[:, None]
        squares_TBD = d_TBD * _shift(d_TBD)
        if steps.valid_TB is not None:
            squares_TBD = squares_TBD * steps.valid_TB[..., None]
        variance_TD = steps.peers.sum(squares_TBD.sum(1)) / count_T[:, None].clamp_min(1)
        self.observe(steps.start, mean_TD, variance_TD, count_T)
        return mean_TD, variance_TD


def _shift(x: Tensor) -> Tensor:
    return straight_through(power_of_two(x.detach()), x, torch.ones_like(x, dtype=torch.bool))
