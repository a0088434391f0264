"""Uniform quantisation to 2^k levels, none of them zero (Hubara et al. 2016, arXiv 1609.07061, for RNNs).

As Xu et al. 2018 (arXiv 1802.00150, eq. 1) write what they compare with: scale to [-1, 1], round, scale back,

    q_k(x) = 2 (round((2^k - 1) (x + 1) / 2) / (2^k - 1) - 1/2)
"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from seqbench.contracts.quantizer import Scale
from seqbench.contracts.ranges import Between
from seqbench.models.cells.quantizer.grid import Grid, Levels


class Uniform(Grid):
    """Numbers in [-scale, scale]; beyond, they saturate, and have no gradient.

    - `scale`: 1 (one), or the largest |x| of each row (row) or of all (tensor), through which no gradient goes.
    - `stochastic`: training rounds up or down at random, without bias.
    """

    def __init__(self, bits: Annotated[int, Between(1, 16)] = 4, scale: Scale = "row", stochastic: bool = False):
        n = 2**bits - 1
        super().__init__(bits, scale, stochastic, Levels(shift=1, slope=n / 2, offset=0, factor=2, zero=n, divisor=n))

    def _encode(self, x: Tensor, draws: bool) -> tuple[Tensor, Tensor, Tensor]:
        scale, code, _ = super()._encode(x, draws)
        return scale, code, x.detach().abs() <= scale
