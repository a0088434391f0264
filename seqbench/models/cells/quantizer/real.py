"""No quantisation, where a model asks for a quantiser."""

from __future__ import annotations

from torch import Tensor

from seqbench.contracts.quantizer import Quantizer


class Real(Quantizer):
    """Real numbers: q(x) = x."""

    def __init__(self):
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x
