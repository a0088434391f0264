"""Independent bits: one linear layer and a cross entropy for each bit.

Shapes: N targets, D features, K bits.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from seqbench.heads.linear import LinearHead


class Sigmoid(LinearHead):
    """p(bit k | y) = sigmoid(v_k y + b_k); V by Glorot's uniform, b zero."""

    kinds = ("bits",)

    def losses(self, z_NK: Tensor, target_NK: Tensor) -> Tensor:
        """(N,) negative log-likelihoods in nats, summed over a target's K bits."""
        z_NK = z_NK.double() if z_NK.element_size() == 8 else z_NK.float()
        return F.binary_cross_entropy_with_logits(z_NK, target_NK.to(z_NK.dtype), reduction="none").sum(-1)
