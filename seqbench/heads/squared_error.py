"""Linear regression: one linear layer and the squared error.

Shapes: N targets, D features, R real outputs.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.types import Head


class SquaredError(Head):
    """Prediction V y + b; V by Glorot's uniform, b zero."""

    def __init__(self, d_input: int, n_outputs: int):
        super().__init__()
        self.readout = nn.Linear(d_input, n_outputs)
        nn.init.xavier_uniform_(self.readout.weight)
        nn.init.zeros_(self.readout.bias)

    def loss_sum(self, z_NR: Tensor, target_NR: Tensor) -> Tensor:
        """Squared error summed over targets (and over a target's R components), a scalar."""
        return F.mse_loss(z_NR.float(), target_NR, reduction="sum")
