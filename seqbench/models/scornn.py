"""scoRNN: an orthogonal recurrent network by the scaled Cayley transform (Helfrich, Willmott, Ye, ICML 2018, arXiv
1707.09520; equations as in the paper, conventions and initialisation as in the authors' code).

    h_t = modReLU(x_t U + h_{t-1} W),   W = (I + A)^{-1} (I - A) D,   D = diag(1, ..., 1, -1, ..., -1)

W is made once a forward pass from A, never once a time step. The recurrence runs in float32 under autocast: in lower
precision the product of 1,000 W's would not be orthogonal.

Shapes: B batch, T time, D features, H hidden size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqbench.models.cells.cayley import block_rotations, scaled_cayley
from seqbench.models.cells.modrelu import modrelu_recurrence
from seqbench.types import Backbone, ParameterGroup, State


class SCORNN(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, hidden_size). State: h (B, hidden_size).

    `n_negative` is the number of -1 on D's diagonal (the paper's rho), at its end. `input_init_range` bounds U's
    uniform initialisation. A is the parameter group "recurrent": its learning rate is `recurrent_lr_scale` times the
    others'.
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: int,
        n_negative: int,
        input_init_range: float = 0.01,
        recurrent_lr_scale: float = 0.1,
    ):
        super().__init__()
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

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        with torch.autocast(x.device.type, enabled=False):
            weight_HH = self.recurrent_matrix()
            weight_DH = self.weight_input.to(weight_HH.dtype)
            time_first = x.transpose(0, 1)
            if x.is_floating_point():
                x_TBH = time_first.to(weight_HH.dtype) @ weight_DH
            else:
                x_TBH = nn.functional.embedding(time_first, weight_DH)
            h_BH = x_TBH.new_zeros(x_TBH.shape[1:]) if state is None else state.to(weight_HH.dtype)
            h_TBH = modrelu_recurrence(x_TBH, weight_HH, self.bias.to(weight_HH.dtype), h_BH)
            last_BH = h_TBH[-1] if len(h_TBH) else h_BH
        return h_TBH.transpose(0, 1), last_BH, None

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        return {"recurrent": ParameterGroup([self.skew_entries], self.recurrent_lr_scale)}
