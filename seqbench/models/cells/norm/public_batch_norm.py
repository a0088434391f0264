"""Batch normalisation by statistics of public data (Davody, Adelani, Kleinbauer, Klakow 2020, arXiv 2006.10919).

    y = g * (x - mean) / sqrt(var + eps),   mean and biased variance over public rows and their positions

The model sends public rows, which the task has, through the same layers, beside the rows that it is trained on. What
comes out of a row, and its gradient, depends then on this row, the weights and public data alone, so that clipping it
bounds what it can change, as optimizer=dp_sgd needs. The statistics are the same in training and in evaluation.

The authors' released code (`of=all`) takes statistics over the batch and the public rows together. Then a row's
gradient depends on other rows, and no privacy follows from clipping; dp_sgd refuses it.

Shapes: S positions, N rows, P public rows, D features.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from seqbench.contracts.norm import Norm
from seqbench.contracts.ranges import OneOf, Positive


class PublicBatchNorm(Norm):
    """(S, N, d_input) -> the same, for models that read public rows.

    - `of`: what statistics are of, the public rows or all of them.
    - `differentiable`: gradients flow through the statistics, as in other batch normalisation. It costs each row's
      gradient a pass backward through the public rows; without, the statistics are constants.
    - `gain` is the trained gain's value at the start.
    """

    couples_rows = True  # unless statistics are of public rows alone
    reads = "public"

    def __init__(
        self,
        d_input: int,
        of: Annotated[str, OneOf("public", "all")] = "public",
        differentiable: bool = True,
        gain: float = 1.0,
        eps: Positive = 1e-5,
    ):
        super().__init__()
        self.gain = nn.Parameter(torch.full((d_input,), gain))
        self.of, self.differentiable, self.eps = of, differentiable, eps

    def forward(self, x: Tensor) -> Tensor:
        """Public rows alone."""
        return self.of_both(x, x[:, :0])[0]

    def of_both(self, public_SPD: Tensor, x_SND: Tensor) -> tuple[Tensor, Tensor]:
        """Both, normalised."""
        seen_SMD = public_SPD if self.of == "public" else torch.cat([public_SPD, x_SND], 1)
        variance_D, mean_D = torch.var_mean(seen_SMD, (0, 1), correction=0)
        if not self.differentiable:
            variance_D, mean_D = variance_D.detach(), mean_D.detach()
        scale_D = (variance_D + self.eps).rsqrt() * self.gain
        return (public_SPD - mean_D) * scale_D, (x_SND - mean_D) * scale_D
