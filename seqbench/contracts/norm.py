"""The contract of a normalisation of features."""

from __future__ import annotations

from torch import Tensor, nn


class Norm(nn.Module):
    """Normalises the `d_input` features of each position: (..., d_input) -> (..., d_input). No position's output may
    depend on another position or row. The model passes `d_input` to the constructor."""

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError
