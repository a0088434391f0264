"""Linear regression: one linear layer and the squared error.

Shapes: N targets, D features, R real outputs.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from seqbench.heads.linear import LinearHead


class SquaredError(LinearHead):
    """Prediction V y + b; V by Glorot's uniform, b zero."""

    kinds = ("reals",)

    def losses(self, z_NR: Tensor, target_NR: Tensor) -> Tensor:
        """(N,) squared errors, summed over a target's R components."""
        return F.mse_loss(z_NR.float(), target_NR, reduction="none").sum(-1)
