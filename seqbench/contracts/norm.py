"""The contract of a normalisation of features."""

from __future__ import annotations

from torch import Tensor, nn


class Norm(nn.Module):
    """Normalises the `d_input` features of each position: (..., d_input) -> (..., d_input). No position's output
    depends on another position, or on another row unless `couples_rows` says so; a model takes such a norm only if it
    couples rows itself. The model passes `d_input` to the constructor."""

    couples_rows: bool = False

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError
