"""Binarisation (Courbariaux, Hubara, Soudry, El-Yaniv, Bengio 2016, arXiv 1602.02830).

Deterministic, sign(x) with sign(0) = +1; or stochastic, +1 with probability clip((x + 1) / 2, 0, 1), else -1. The
gradient is that of clip(x, -1, 1).
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.contracts.quantizer import Scale
from seqbench.models.cells.quantizer.grid import Grid, Levels


class Binary(Grid):
    """-1 and +1 times a scale.

    - `scale`: 1 (one), as in the paper, or the mean |x| of each row (row) or of all (tensor), which is the
      least-squares choice: the smallest |x - scale sign(x)|^2.
    - `stochastic`: training draws the sign. Evaluation does not.
    """

    def __init__(self, scale: Scale = "one", stochastic: bool = False):
        if stochastic and scale != "one":
            raise ValueError(f"stochastic=true draws signs for scale=one, not {scale}")
        super().__init__(1, scale, stochastic, Levels(shift=1, slope=0.5, offset=0, factor=2, zero=1, divisor=1))

    def _encode(self, x: Tensor, draws: bool) -> tuple[Tensor, Tensor, Tensor]:
        x_fixed = x.detach()
        threshold = 2 * torch.rand_like(x_fixed) - 1 if draws else 0
        code = (x_fixed >= threshold).to(x.dtype)
        return self.scale_of(x_fixed), code, x_fixed.abs() <= 1

    def scale_of(self, x: Tensor) -> Tensor:
        if self.scale == "one":
            return x.new_ones(())
        return x.abs().mean(-1, keepdim=True) if self.scale == "row" else x.abs().mean()
