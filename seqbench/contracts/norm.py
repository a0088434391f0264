"""The contract of a normalisation of features."""

from __future__ import annotations

from torch import Tensor, nn


class Norm(nn.Module):
    """Normalises the `d_input` features of each position: (..., d_input) -> (..., d_input). No position's output
    depends on another position or row. One that says `couples_rows` maps (T, B, d_input), and a row may depend on the
    others of its step; only a model that couples rows, too, takes it. One that says `couples_positions` takes
    statistics over all positions, in training. The model passes `d_input` to the constructor."""

    couples_rows: bool = False
    couples_positions: bool = False

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError
