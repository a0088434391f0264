"""Layer normalisation (Ba, Kiros, Hinton 2016, arXiv 1607.06450).

y = (x - mean(x)) / sqrt(var(x) + eps) * g + b,   mean and variance over a position's features
"""

from __future__ import annotations

from torch import nn

from seqbench.contracts.norm import Norm
from seqbench.contracts.ranges import Positive


class LayerNorm(nn.LayerNorm, Norm):
    """(..., d_input) -> (..., d_input), in torch's kernel; `affine`: with the trained gain g, from 1, and bias b,
    from 0."""

    def __init__(self, d_input: int, eps: Positive = 1e-5, affine: bool = True):
        super().__init__(d_input, eps, affine)
