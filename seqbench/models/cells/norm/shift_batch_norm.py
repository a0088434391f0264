"""Shift-based batch normalisation: no products but by powers of two (Courbariaux et al. 2016, arXiv 1602.02830).

    d_t = x_t - mean_t       v_t = mean(d_t AP2(d_t))       y_t = AP2(g) d_t AP2(1 / sqrt(v_t + eps))

AP2(z) is the power of two that is nearest to z in the logarithm (cells/quantizer/power_of_two.py). There is no shift:
the model that asks for the norm has one. The population's v is the average of batches', where the authors' Torch code
averages 1 / sqrt(v + eps), and gradients pass straight through AP2, where it takes AP2 in them, too.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.contracts.peers import Peers
from seqbench.models.cells.norm.batch_norm import BatchNorm, moments
from seqbench.models.cells.quantizer.power_of_two import power_of_two
from seqbench.models.cells.quantizer.straight_through import straight_through


class ShiftBatchNorm(BatchNorm):
    """(T, B, d_input), of T steps from `start` on -> the same. The arguments are batch_norm's."""

    def moments(self, x_TBD: Tensor, valid_TB: Tensor | None, peers: Peers) -> tuple[Tensor, Tensor, Tensor]:
        mean_TD, _, count_T = moments(x_TBD, valid_TB, peers)
        d_TBD = x_TBD - mean_TD[:, None]
        squares_TBD = d_TBD * _shift(d_TBD)
        if valid_TB is not None:
            squares_TBD = squares_TBD * valid_TB[..., None]
        return mean_TD, peers.sum(squares_TBD.sum(1)) / count_T[:, None].clamp_min(1), count_T

    def normalise(self, x_TBD: Tensor, mean_TD: Tensor, variance_TD: Tensor) -> Tensor:
        inverse_TD = _shift((variance_TD + self.eps).rsqrt())
        return (x_TBD - mean_TD[:, None]) * (inverse_TD * _shift(self.gain))[:, None]


def _shift(x: Tensor) -> Tensor:
    return straight_through(power_of_two(x.detach()), x, torch.ones_like(x, dtype=torch.bool))
