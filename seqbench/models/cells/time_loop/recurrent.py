"""What orthogonal and unitary RNNs share: one layer h_t = f(U x_t + W h_{t-1}) whose W is some linear map.

The recurrence runs in float32, under autocast and in a bfloat16 module too: in lower precision the product of 1,000 W's
would not stay orthogonal. A bfloat16 module's outputs are bfloat16; its state stays float32.

Shapes: B batch, T time, D features, H width of the state, C columns of a readout.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.pytree import State
from seqbench.models.cells.time_loop.recurrence import Map, Spare, recurrence


class Recurrent(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, H). State: h (B, H). A subclass sets `d_output` = H, the parameters
    `weight_input` (d_input, H) and `bias`, and defines `linear_map`."""

    weight_input: Tensor
    bias: Tensor

    machine_settings = ("backend",)

    def __init__(self, nonlinearity: str, backend: str):
        super().__init__()
        self.nonlinearity, self.backend, self._spare = nonlinearity, backend, Spare()

    def linear_map(self) -> Map:
        """W, made once a forward pass and never once a time step."""
        raise NotImplementedError

    def first_state(self, n_rows: int, linear_map: Map) -> Tensor:
        """h (n_rows, H) before a sequence."""
        return self.weight_input.new_zeros(n_rows, linear_map.width)

    def penalty(self) -> Tensor | None:
        """The model's own loss, to be added; None: it has none."""
        return None

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        result = self.read(x, state, None)
        assert result is not None
        return result

    def read(
        self, x: Tensor, state: State, weight_CD: Tensor | None, bias_C: Tensor | None = None
    ) -> tuple[Tensor, State, Tensor | None] | None:
        with torch.autocast(x.device.type, enabled=False):
            linear_map = self.linear_map()
            dtype, x_TB = linear_map.weight.dtype, x.transpose(0, 1)
            before_BH = (self.first_state(len(x), linear_map) if state is None else state).to(dtype)
            result = recurrence(
                x_TB.to(dtype) if x.is_floating_point() else x_TB,
                self.weight_input.to(dtype),
                self.bias.to(dtype),
                linear_map,
                self.nonlinearity,
                before_BH,
                self._spare,
                self.backend,
                None if weight_CD is None else weight_CD.to(dtype),
                None if bias_C is None else bias_C.to(dtype),
            )
            if result is None:
                return None
            return result[0].transpose(0, 1).to(self.weight_input.dtype), result[1], self.penalty()
