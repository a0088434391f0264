"""No readout: the features are the outputs, under the squared error or as the logits of bits.

Shapes: N targets, R outputs.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from seqbench.contracts.head import Head


class Direct(Head):
    """Real outputs, which are the features themselves; nothing is learned. Raises `ValueError` unless there are as many
    features as outputs."""

    kinds = ("reals",)

    def __init__(self, d_input: int, n_outputs: int):
        super().__init__()
        if d_input != n_outputs:
            raise ValueError(
                f"{type(self).__name__} takes a model's features for the outputs, and there are {d_input} features for "
                f"{n_outputs} outputs"
            )

    def losses(self, z_NR: Tensor, target_NR: Tensor) -> Tensor:
        """(N,) squared errors, summed over a target's R components."""
        z_NR = z_NR.double() if z_NR.element_size() == 8 else z_NR.float()
        return F.mse_loss(z_NR, target_NR.to(z_NR.dtype), reduction="none").sum(-1)


class DirectBits(Direct):
    """Bits, whose logits are the features themselves."""

    kinds = ("bits",)

    def losses(self, z_NR: Tensor, target_NR: Tensor) -> Tensor:
        """(N,) cross entropies in nats, summed over a target's R bits."""
        z_NR = z_NR.double() if z_NR.element_size() == 8 else z_NR.float()
        return F.binary_cross_entropy_with_logits(z_NR, target_NR.to(z_NR.dtype), reduction="none").sum(-1)
