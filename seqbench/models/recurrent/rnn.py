"""Simple recurrent network (Elman 1990), on torch's fused kernels.

    h_t = tanh(W x_t + U h_{t-1} + b)

Two bias vectors a layer as in cuDNN, so a layer holds H D + H^2 + 2 H parameters; counts in papers with one bias are H
lower.
"""

from __future__ import annotations

from torch import nn

from seqbench.contracts.ranges import Count, Dropout, NotNegative
from seqbench.models.cells.time_loop.stack import Init, RecurrentStack, initialise


class RNN(RecurrentStack):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, hidden_size). State: per layer h (B, hidden_size).

    - `dropout` acts between layers.
    - `init` is uniform (in +-`init_range`, torch's 1/sqrt(H) where null), glorot or orthogonal.

    There is no compiled loop for it: torch's kernel runs everywhere.
    """

    machine_settings = ()

    def __init__(
        self,
        d_input: int,
        hidden_size: Count,
        n_layers: Count = 1,
        dropout: Dropout = 0.0,
        init: Init = "uniform",
        init_range: NotNegative | None = None,
    ):
        layers = [
            nn.RNN(d_input if index == 0 else hidden_size, hidden_size, batch_first=True) for index in range(n_layers)
        ]
        for layer in layers:
            initialise(layer, init, init_range)
        super().__init__(layers, dropout)
