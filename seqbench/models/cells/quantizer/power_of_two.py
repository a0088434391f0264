"""LogQuant: powers of two, so that products are shifts (Hubara et al. 2016, arXiv 1609.07061).

    AP2(x) = sign(x) 2^round(log2 |x|),  AP2(0) = 0           q_k(x) = sign(x) clip(AP2(|x|), 2^(1 - 2^(k-1)), 1)

The paper's range is fixed, at values that we have not seen; ours is that of a sign and k - 1 bits of exponent.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

from seqbench.contracts.quantizer import Quantizer
from seqbench.contracts.ranges import Between
from seqbench.models.cells.quantizer.straight_through import straight_through


def power_of_two(x: Tensor) -> Tensor:
    """AP2(x): the power of two that is nearest in the logarithm, so between 2^n and 2^(n+1) the border is 2^(n+1/2)."""
    mantissa, _ = torch.frexp(x)  # x = mantissa 2^exponent with |mantissa| in [1/2, 1): their ratio is exact
    size = mantissa.abs()
    above = torch.where(x == 0, 0, x / torch.where(x == 0, 1, size))
    return torch.where(size < math.sqrt(0.5), above / 2, above)


class PowerOfTwo(Quantizer):
    """2^k levels, none of them zero, the largest 1; what is larger than 1 saturates, and has no gradient."""

    def __init__(self, bits: Annotated[int, Between(2, 6)] = 4):
        super().__init__()
        self.bits, self.smallest = bits, 2.0 ** (1 - 2 ** (bits - 1))

    def forward(self, x: Tensor) -> Tensor:
        x_fixed = x.detach()
        size = power_of_two(x_fixed.abs()).clamp(self.smallest, 1)
        return straight_through(torch.where(x_fixed >= 0, size, -size), x, x_fixed.abs() <= 1)
