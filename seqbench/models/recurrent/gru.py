"""Gated recurrent unit (Cho et al. 2014).

In cuDNN's form (the reset gate acts after the recurrent product), on torch's fused kernels or, on a CPU, a compiled
loop.

    r, z = sigmoid(W x_t + U h_{t-1} + b)       n = tanh(W_n x_t + b_n + r * (U_n h_{t-1} + c_n))
    h_t = (1 - z) * n + z * h_{t-1}

Two bias vectors a layer: 3 (H D + H^2 + 2 H) parameters.
"""

from __future__ import annotations

from torch import nn

from seqbench.contracts.ranges import Backend, Count, Dropout, NotNegative
from seqbench.models.cells.time_loop.stack import Init, RecurrentStack, initialise


class GRU(RecurrentStack):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, hidden_size). State: per layer h (B, hidden_size).

    - `dropout` acts between layers.
    - `init` is uniform (in +-`init_range`, torch's 1/sqrt(H) where null), glorot or orthogonal.
    - `backend` does not affect results (cells/time_loop/stack.py).
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: Count,
        n_layers: Count = 1,
        dropout: Dropout = 0.0,
        init: Init = "uniform",
        init_range: NotNegative | None = None,
        backend: Backend = "auto",
    ):
        layers = [
            nn.GRU(d_input if index == 0 else hidden_size, hidden_size, batch_first=True) for index in range(n_layers)
        ]
        for layer in layers:
            initialise(layer, init, init_range)
        super().__init__(layers, dropout, backend)
