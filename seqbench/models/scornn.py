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
from seqbench.models.cells.recurrence import BACKENDS, Dense, Spare, recurrence
from seqbench.types import Backbone, ParameterGroup, State


class SCORNN(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, hidden_size). State: h (B, hidden_size).

    `n_negative` is the number of -1 on D's diagonal (the paper's rho), at its end. `input_init_range` bounds U's
    uniform initialisation. A is the parameter group "recurrent": its learning rate is `recurrent_lr_scale` times the
    others'. `backend`: reference | native | auto (cells/recurrence.py).
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: int,
        n_negative: int,
        input_init_range: float = 0.01,
        recurrent_lr_scale: float = 0.1,
        backend: str = "auto",
    ):
        super().__init__()
        if backend not in BACKENDS:
            raise ValueError(f"backend is one of {', '.join(BACKENDS)}, not {backend!r}")
        self.backend, self._spare = backend, Spare()
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
        outputs = self._run(x, state, None)
        assert outputs is not None
        return outputs

    def read(self, x: Tensor, state: State, weight_CD: Tensor) -> tuple[Tensor, State, None] | None:
        return self._run(x, state, weight_CD)

    def _run(self, x: Tensor, state: State, readout_CH: Tensor | None) -> tuple[Tensor, State, None] | None:
        with torch.autocast(x.device.type, enabled=False):
            weight_HH = self.recurrent_matrix()
            dtype, x_TB = weight_HH.dtype, x.transpose(0, 1)
            outputs = recurrence(
                x_TB.to(dtype) if x.is_floating_point() else x_TB,
                self.weight_input.to(dtype),
                self.bias.to(dtype),
                Dense(weight_HH),
                "modrelu",
                weight_HH.new_zeros(len(x), self.d_output) if state is None else state.to(dtype),
                self._spare,
                self.backend,
                None if readout_CH is None else readout_CH.to(dtype),
            )
        return None if outputs is None else (outputs[0].transpose(0, 1), outputs[1], None)

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        return {"recurrent": ParameterGroup([self.skew_entries], self.recurrent_lr_scale)}
