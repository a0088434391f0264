"""No normalisation, where a model asks for one."""

from __future__ import annotations

from torch import Tensor

from seqbench.contracts.norm import Norm


class NoNorm(Norm):
    """No normalisation: y = x."""

    def __init__(self, d_input: int):
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x
