"""Quantisers whose levels are evenly spaced, so that a product of two quantised vectors is one of whole numbers.

    t = x / scale       code = clip(round((t + shift) slope) + offset, 0, 2^bits - 1)
    q(x) = scale (factor code - zero) / divisor

`scale` is 1, or the largest |x| of a row (the last axis) or of the tensor. With stochastic rounding, y becomes
floor(y + u), u ~ U[0, 1): then E q(x) = x within the range. Only training draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seqbench.contracts.quantizer import Quantizer
from seqbench.models.cells.quantizer.straight_through import straight_through


@dataclass(frozen=True)
class Levels:
    """The numbers of the formula above."""

    shift: float
    slope: float
    offset: int
    factor: int
    zero: int
    divisor: int


class Grid(Quantizer):
    """2^bits levels in steps of equal size."""

    bits: int

    def __init__(self, bits: int, scale: str, stochastic: bool, levels: Levels):
        super().__init__()
        self.bits, self.scale, self.stochastic, self.levels = bits, scale, stochastic, levels

    def forward(self, x: Tensor) -> Tensor:
        scale, code, passes = self._encode(x, self.stochastic and self.training)
        return straight_through(self._decode(scale, code), x, passes)

    @torch.no_grad()
    def codes(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Whole numbers from 0 to 2^bits - 1, in the type of x, and the scale: (..., 1), or one number. Nothing is
        drawn."""
        scale, code, _ = self._encode(x, False)
        return code, scale

    def _encode(self, x: Tensor, draws: bool) -> tuple[Tensor, Tensor, Tensor]:
        """The scale, the codes, and where x is within the range."""
        scale, levels = self.scale_of(x.detach()), self.levels
        y = (x.detach() / torch.where(scale > 0, scale, 1) + levels.shift) * levels.slope
        code = ((y + torch.rand_like(y)).floor() if draws else y.round()) + levels.offset
        clipped = code.clamp(0, 2**self.bits - 1)
        return scale, clipped, code == clipped

    def _decode(self, scale: Tensor, code: Tensor) -> Tensor:
        return scale * ((self.levels.factor * code - self.levels.zero) / self.levels.divisor)

    def scale_of(self, x: Tensor) -> Tensor:
        if self.scale == "one":
            return x.new_ones(())
        return x.abs().amax(-1, keepdim=True) if self.scale == "row" else x.abs().amax()
