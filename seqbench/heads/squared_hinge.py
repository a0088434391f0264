"""Squared hinge loss of each class against the others (Tang 2013, arXiv 1306.0239).

As binarised networks are trained with it (Courbariaux et al. 2016, arXiv 1602.02830):

loss = sum over classes c of max(0, 1 - t_c z_c)^2,   t_c = +1 for the target's class and -1 for the others
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.head import Head
from seqbench.heads.softmax import log_softmax


class SquaredHinge(Head):
    """Trained on the squared hinge of the scores z, evaluated on softmax(z)'s cross entropy, so that its numbers
    compare with a softmax's; both have the same class on top.

    - `linear`: z = V y + b, with V by Glorot's uniform and b zero; without, z are the features themselves, and there
      are as many as classes.
    """

    def __init__(self, d_input: int, n_outputs: int, linear: bool = True):
        super().__init__()
        if not linear and d_input != n_outputs:
            raise ValueError(f"with linear=false there are as many features as classes, not {d_input} for {n_outputs}")
        self.linear = nn.Linear(d_input, n_outputs) if linear else None
        if self.linear is not None:
            nn.init.xavier_uniform_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    @property
    def readout(self) -> nn.Linear | None:
        return self.linear

    def losses(self, z_NC: Tensor, target_N: Tensor) -> Tensor:
        """(N,) squared hinges; in evaluation, negative log-likelihoods in nats."""
        if not self.training:
            return F.nll_loss(self.log_probs(z_NC), target_N, reduction="none")
        z_NC = z_NC.double() if z_NC.element_size() == 8 else z_NC.float()
        sign_NC = 2 * F.one_hot(target_N, z_NC.shape[1]).to(z_NC.dtype) - 1
        return (1 - sign_NC * z_NC).clamp_min(0).square().sum(1)

    def log_probs(self, z_NC: Tensor) -> Tensor:
        return log_softmax(z_NC)
