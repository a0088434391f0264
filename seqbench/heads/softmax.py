"""Softmax over classes: one linear layer and the cross entropy.

Shapes: N targets, D features, C classes.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.types import Head

FEW = 64  # on a CPU torch's softmax along so short a last axis is far slower than along a first axis


class Softmax(Head):
    """p(c | y) = softmax(V y + b). `init_range` fills V and b with U(-r, r); null: Glorot's uniform and zero."""

    def __init__(self, d_input: int, n_outputs: int, bias: bool = True, init_range: float | None = None):
        super().__init__()
        self.readout = nn.Linear(d_input, n_outputs, bias=bias)
        for parameter in self.readout.parameters():
            if init_range is not None:
                nn.init.uniform_(parameter, -init_range, init_range)
            elif parameter.dim() == 2:
                nn.init.xavier_uniform_(parameter)
            else:
                nn.init.zeros_(parameter)

    def loss_sum(self, z_NC: Tensor, target_N: Tensor) -> Tensor:
        """Summed negative log-likelihood in nats, a scalar."""
        return F.nll_loss(self.log_probs(z_NC), target_N, reduction="sum")

    def log_probs(self, z_NC: Tensor) -> Tensor:
        """(N, C) log-probabilities."""
        z_NC = z_NC.float()
        if z_NC.shape[-1] < FEW:
            return F.log_softmax(z_NC.T.contiguous(), dim=0).T
        return F.log_softmax(z_NC, dim=-1)
