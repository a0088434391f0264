"""Linear regression: one linear layer and the squared error.

Shapes: N targets, D features, R real outputs.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.head import Head


class SquaredError(Head):
    """Prediction V y + b; V by Glorot's uniform, b zero."""

    kinds = ("reals",)

    def __init__(self, d_input: int, n_outputs: int):
        super().__init__()
        self.linear = nn.Linear(d_input, n_outputs)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    @property
    def readout(self) -> nn.Linear:
        return self.linear

    def losses(self, z_NR: Tensor, target_NR: Tensor) -> Tensor:
        """(N,) squared errors, summed over a target's R components."""
        return F.mse_loss(z_NR.float(), target_NR, reduction="none").sum(-1)
