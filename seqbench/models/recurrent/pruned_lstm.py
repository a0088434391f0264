"""Pruned LSTM: units and inputs are selected while it trains (Wen L., Zhang, Bai, Xu 2019, arXiv 1906.06847).

The paper was not seen beyond its abstract; what follows is after a third party's code and its quotations of the paper,
except that gates of inputs are gates of their own. Inputs have gates z, the units of a layer gates s, shared by its
four gates and, as the z of the layer above, between layers:

    W * (s z^T for each of i, f, g, o)    U * (s s^T for each)    z of layer l + 1 = s of layer l    y_t = h_t * s

so that whatever reads h reads it gated, and a unit whose gate is 0 can be taken away. One draw of the gates holds for a
batch, all rows and steps of it. selection=l0 has hard concrete gates (cells/structure/hard_concrete.py) and

    aux = penalty * E[number of weights that are not masked] / number of weights

of W, U and the readout: `penalty` is what the loss, in nats a target, may grow by for the sake of all weights. How the
paper scales its penalty is unknown. selection=group_lasso (Wen W. et al. 2018, arXiv 1709.05027) and l1 have no gates:

    aux = penalty * sum over units of the norms of their groups (cells/structure/unit_groups.py), or penalty * |weights|

after each step weights below `zero_below` are set to zero, and a unit is closed if all that leads into it is zero, or
all that leads out of it. Their authors' losses are summed over a window's steps, and ours is a mean: where a learning
rate is multiplied by the number of steps, a penalty is divided by it.

Shapes: B batch, T time, D inputs, H units, C rows of the readout.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import ParameterGroup
from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Backend, Count, Dropout, NotNegative, OneOf
from seqbench.models.cells.structure.hard_concrete import HardConcrete, expected_weights
from seqbench.models.cells.structure.unit_groups import group_lasso, open_units, squared_norms
from seqbench.models.cells.time_loop.stack import LSTMLayer, RecurrentStack, initialise, lstm, weights


class PrunedLSTM(RecurrentStack):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, hidden_size). State: per layer (h, c), each (B, hidden_size), where h
    is before its gate.

    - `dropout` acts between layers.
    - `selection` is l0, group_lasso or l1, and `penalty` its weight in aux, which is there in training alone.
    - `zero_below` is for group_lasso and l1.
    - Weights and biases start uniform in +-`init_range` (null: 1/sqrt(H)).
    - `backend` does not affect results (cells/time_loop/stack.py).

    The log alphas are the parameter group "gates". Diagnostics: how many inputs and units of each layer are open in
    evaluation, and `weights_left`, the share of the weights that are not zero or masked.
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: Count,
        n_layers: Count = 1,
        dropout: Dropout = 0.0,
        selection: Annotated[str, OneOf("l0", "group_lasso", "l1")] = "l0",
        penalty: NotNegative = 0.1,
        zero_below: NotNegative = 1e-4,
        init_range: NotNegative | None = None,
        backend: Backend = "auto",
    ):
        sizes = [d_input, *[hidden_size] * n_layers]
        layers = [LSTMLayer(below, size, batch_first=True) for below, size in itertools.pairwise(sizes)]
        for layer in layers:
            initialise(layer, "uniform", init_range)
        super().__init__(layers, dropout, backend)
        self.selection, self.penalty, self.zero_below = selection, penalty, zero_below
        self.gates = nn.ModuleList(HardConcrete(size) for size in sizes if selection == "l0")
        self._readout: list[nn.Linear] = []  # the head's, which a list keeps from becoming a part of this module
        self._has_run = False

    def read_by(self, readout: nn.Linear) -> None:
        self._readout = [readout]

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        gates, new_state = [gate() for gate in self.gates], []
        for index, parameters in enumerate(self._masked(gates)):
            if index > 0:
                x = F.dropout(x, self.dropout, self.training)
            before = None if state is None else state[index]
            x, after = lstm(parameters, x, before, self.training, self.backend)
            new_state.append(after)
        self._has_run = True
        y = x * gates[-1] if gates else x
        return y, tuple(new_state), self._penalty() if self.training and self.penalty > 0 else None

    def _masked(self, gates: Sequence[Tensor]) -> list[list[Tensor]]:
        """W, U and biases of each layer under gates of its inputs and units; without any, as they are."""
        layers: list[list[Tensor]] = [[*weights(layer)] for layer in self.layers]
        for (z_D, s_H), parameters in zip(itertools.pairwise(gates), layers, strict=False):
            rows = s_H.repeat(4)
            parameters[0] = parameters[0] * torch.outer(rows, z_D)
            parameters[1] = parameters[1] * torch.outer(rows, s_H)
        return layers

    def _readout_weight(self) -> Tensor | None:
        return self._readout[0].weight if self._readout else None

    def _matrices(self) -> list[Tensor]:
        """What is counted and penalised: W and U of each layer, and the readout."""
        readout_CH = self._readout_weight()
        matrices: list[Tensor] = [matrix for layer in self.layers for matrix in weights(layer)[:2]]
        return matrices if readout_CH is None else [*matrices, readout_CH]

    def _penalty(self) -> Tensor:
        if self.selection == "l1":
            return self.penalty * torch.stack([matrix.abs().sum() for matrix in self._matrices()]).sum()
        if self.selection == "group_lasso":
            return self.penalty * group_lasso(self._masked([]), self._readout_weight())
        return self.penalty * self._share([gate.open_probability() for gate in self._hard_concrete()])

    def _share(self, p: Sequence[Tensor]) -> Tensor:
        """The expected share of weights that are not masked."""
        readout_CH = self._readout_weight()
        n_outputs = 0 if readout_CH is None else len(readout_CH)
        return expected_weights(p, n_outputs) / expected_weights([torch.ones_like(each) for each in p], n_outputs)

    def _hard_concrete(self) -> list[HardConcrete]:
        return [gate for gate in self.gates if isinstance(gate, HardConcrete)]

    @torch.no_grad()
    def after_step(self, peers: Peers) -> None:
        if self.selection == "l0" or self.penalty == 0:
            return
        for weight in {*self._matrices(), *(bias for layer in self.layers for bias in weights(layer)[2:])}:
            weight.copy_(F.hardshrink(weight, self.zero_below))

    @torch.no_grad()
    def fixed_gates(self) -> list[Tensor]:
        """Of the inputs (D,) and of each layer's units (H,), as they are in evaluation: 0 is closed."""
        if self.selection == "l0":
            return [gate.fixed() for gate in self._hard_concrete()]
        units = open_units(self._masked([]), self._readout_weight())
        return [units[0].new_ones(self._d_input), *units]

    @torch.no_grad()
    def unit_norms(self) -> list[Tensor]:
        """(H,) of each layer: the norm of each unit's group, under the gates."""
        gates, readout_CH = self.fixed_gates(), self._readout_weight()
        gated_CH = None if readout_CH is None else readout_CH * gates[-1]
        return [norm.sqrt() for norm in squared_norms(self._masked(gates), gated_CH)]

    @torch.no_grad()
    def compacted(self, kept: Sequence[Tensor]) -> dict[str, Tensor]:
        """The state dict of a plain LSTM of the inputs and units of these indices, the gates folded into its weights;
        what reads its y has to be multiplied by the last layer's gates."""
        compact = {}
        masked = zip(self._masked(self.fixed_gates()), itertools.pairwise(kept), strict=True)
        for index, ((input_weight, weight, *biases), (inputs, units)) in enumerate(masked):
            rows = torch.cat([gate * weight.shape[1] + units for gate in range(4)])
            values = [input_weight[rows][:, inputs], weight[rows][:, units], *(bias[rows] for bias in biases)]
            names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
            compact |= {f"layers.{index}.{name}": value for name, value in zip(names, values, strict=True)}
        return compact

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        if self.selection != "l0":
            return super().parameter_groups()
        return {**super().parameter_groups(), "gates": ParameterGroup([*self.gates.parameters()], weight_decay=0.0)}

    @torch.no_grad()
    def diagnostics(self) -> dict[str, tuple[float, float]]:
        count, self._has_run = float(self._has_run), False
        gates = self.fixed_gates() if count else [torch.ones(()) for _ in range(len(self.layers) + 1)]
        names = ["open_inputs", *(f"open_{index}" for index in range(1, len(gates)))]
        values = {name: float((gate > 0).sum()) for name, gate in zip(names, gates, strict=True)}
        values["weights_left"] = self._weights_left(gates) if count else 0.0
        return {name: (value * count, count) for name, value in values.items()}

    def _weights_left(self, gates: Sequence[Tensor]) -> float:
        if self.selection == "l0":
            return float(self._share([(gate > 0).to(gate.dtype) for gate in gates]))
        matrices = self._matrices()
        return sum(int(matrix.count_nonzero()) for matrix in matrices) / sum(matrix.numel() for matrix in matrices)
