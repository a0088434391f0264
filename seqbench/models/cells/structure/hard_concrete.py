"""Hard concrete gates: differentiable, and exactly zero with a positive probability (Louizos, Welling, Kingma 2018).

arXiv 1712.01312, with beta = 2/3, gamma = -0.1 and zeta = 1.1 as there. Of each gate log alpha is trained:

    training       v = sigmoid((log u - log(1 - u) + log alpha) / beta), u ~ U(0, 1)
    evaluation     v = sigmoid(log alpha)
    both           gate = clamp(v (zeta - gamma) + gamma, 0, 1)
    P(gate > 0)    sigmoid(log alpha - beta log(-gamma / zeta)), in training

At log alpha = 1 a gate is open with probability 0.93 and is 0.777 in evaluation, where it is closed from -2.398 down.

Shapes: D inputs, H units.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1
START, SPREAD = 1.0, 0.1  # log alpha starts in N(1, 0.1), as a third party quotes Wen, Zhang, Bai, Xu 2019


class HardConcrete(nn.Module):
    """`n` gates (n,): drawn anew in each call while training, from torch's generator; fixed in evaluation."""

    def __init__(self, n: int):
        super().__init__()
        self.log_alpha = nn.Parameter(torch.empty(n).normal_(START, SPREAD))

    def forward(self) -> Tensor:
        if not self.training:
            return self.fixed()
        noise = torch.logit(torch.rand_like(self.log_alpha))
        return _stretched(torch.sigmoid((noise + self.log_alpha) / BETA))

    def fixed(self) -> Tensor:
        """The gates of evaluation."""
        return _stretched(torch.sigmoid(self.log_alpha))

    def open_probability(self) -> Tensor:
        """P(gate > 0), of the gates of training."""
        return torch.sigmoid(self.log_alpha - BETA * math.log(-GAMMA / ZETA))


def _stretched(share: Tensor) -> Tensor:
    return (share * (ZETA - GAMMA) + GAMMA).clamp(0, 1)


def expected_weights(p: Sequence[Tensor], n_outputs: int) -> Tensor:
    """The expected number of weights that are not masked, of LSTM layers and a readout of `n_outputs` rows.

    `p` are the probabilities of the inputs (D,) and of each layer's units (H,) to be open. A weight stands where both
    its ends are open; on the diagonal of U they are one unit. Biases are left out.
    """
    total = n_outputs * p[-1].sum()
    for p_D, p_H in itertools.pairwise(p):
        recurrent = p_H.sum().square() - p_H.square().sum() + p_H.sum()
        total = total + 4 * (p_H.sum() * p_D.sum() + recurrent)
    return total
