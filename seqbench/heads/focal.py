"""Focal loss: the cross entropy, less where the target is already likely (Lin et al. 2017, arXiv 1708.02002).

loss = -(1 - p)^gamma log p,   p the target's probability under softmax(V y + b)
"""

from __future__ import annotations

from torch import Tensor, nn

from seqbench.contracts.ranges import NotNegative
from seqbench.heads.softmax import Softmax


class Focal(Softmax):
    """Trained on the focal loss, evaluated on the plain cross entropy, so that its numbers compare with a softmax's.

    - `gamma` 0 is the softmax.
    - `bias`, `init_range` and `embedding` are as the softmax has them.
    """

    def __init__(
        self,
        d_input: int,
        n_outputs: int,
        gamma: NotNegative = 2.0,
        bias: bool = True,
        init_range: NotNegative | None = None,
        embedding: nn.Module | None = None,
    ):
        super().__init__(d_input, n_outputs, bias, init_range, embedding=embedding)
        self.gamma = gamma

    def losses(self, z_NC: Tensor, target_N: Tensor) -> Tensor:
        """(N,) losses in nats."""
        nll_N = super().losses(z_NC, target_N)
        if not self.training:
            return nll_N
        return (1 - (-nll_N).exp()).clamp_min(0.0) ** self.gamma * nll_N
