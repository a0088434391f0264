"""scoRNN: an orthogonal RNN by the scaled Cayley transform (Helfrich, Willmott, Ye 2018, arXiv 1707.09520).

Equations as in the paper (ICML 2018), conventions and initialisation as in the authors' code.

    h_t = modReLU(x_t U + h_{t-1} W),   W = (I + A)^{-1} (I - A) D,   D = diag(1, ..., 1, -1, ..., -1)

Shapes: B batch, T time, D features, H hidden size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqbench.contracts.backbone import ParameterGroup
from seqbench.contracts.ranges import Backend, Count, NotNegative
from seqbench.models.cells.maps.cayley import block_rotations, scaled_cayley
from seqbench.models.cells.time_loop.recurrence import Dense
from seqbench.models.cells.time_loop.recurrent import Recurrent


class SCORNN(Recurrent):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, hidden_size). State: h (B, hidden_size).

    - `n_negative` is the number of -1 on D's diagonal (the paper's rho), at its end.
    - `input_init_range` bounds U's uniform initialisation.
    - `recurrent_lr_scale` times the others' is the learning rate of A, the parameter group "recurrent".
    - `backend` does not affect results (cells/time_loop/recurrence.py).
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: Count,
        n_negative: int,
        input_init_range: NotNegative = 0.01,
        recurrent_lr_scale: NotNegative = 0.1,
        backend: Backend = "auto",
    ):
        super().__init__("modrelu", backend)
        if not 0 <= n_negative <= hidden_size:
            raise ValueError(f"n_negative is between 0 and hidden_size={hidden_size}, not {n_negative}")
        self.d_output = hidden_size
        self.recurrent_lr_scale = recurrent_lr_scale
        self.weight_input = nn.Parameter(
            torch.empty(d_input, hidden_size).uniform_(-input_init_range, input_init_range)
        )
        self.skew_entries = nn.Parameter(block_rotations(hidden_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size))
        self.sign: Tensor
        sign_H = torch.ones(hidden_size)
        sign_H[hidden_size - n_negative :] = -1
        self.register_buffer("sign", sign_H)

    def recurrent_matrix(self) -> Tensor:
        """W (H, H), orthogonal; it multiplies row vectors from the right."""
        return scaled_cayley(self.skew_entries, self.sign)

    def linear_map(self) -> Dense:
        return Dense(self.recurrent_matrix())

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        return {"recurrent": ParameterGroup([self.skew_entries], self.recurrent_lr_scale, recurrent=True)}
