"""What heads of one linear layer have in common.

Shapes: D features.
"""

from __future__ import annotations

from torch import nn

from seqbench.contracts.head import Head


class LinearHead(Head):
    """V y + b, with V by Glorot's uniform and b zero; what is made of it is the head's own."""

    def __init__(self, d_input: int, n_outputs: int):
        super().__init__()
        self.linear = nn.Linear(d_input, n_outputs)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    @property
    def readout(self) -> nn.Linear:
        return self.linear
