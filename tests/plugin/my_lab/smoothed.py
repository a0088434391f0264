"""Cross entropy, in training with a share of each target spread over all classes (label smoothing)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.head import Head


class Smoothed(Head):
    """(1 - smoothing) (-log p_target) + smoothing mean(-log p) in training; -log p_target in evaluation."""

    def __init__(self, d_input: int, n_outputs: int, smoothing: float):
        super().__init__()
        self.linear = nn.Linear(d_input, n_outputs)
        self.smoothing = smoothing

    @property
    def readout(self) -> nn.Linear:
        return self.linear

    def losses(self, z_NC: Tensor, target_N: Tensor) -> Tensor:
        smoothing = self.smoothing if self.training else 0.0
        return F.cross_entropy(z_NC, target_N, reduction="none", label_smoothing=smoothing)

    def log_probs(self, z_NC: Tensor) -> Tensor:
        return F.log_softmax(z_NC, -1)
