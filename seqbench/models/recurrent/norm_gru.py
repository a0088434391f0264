"""Gated recurrent unit with norms at chosen places (Ba, Kiros, Hinton 2016, arXiv 1607.06450, appendix).

With N for a norm of its own at each place, or for none:

    r, z = sigmoid(N_hidden(h_{t-1} U + b_hidden) + N_input(x_t W + b_input) + b)
    n = tanh(N_input'(x_t W' + b_input') + r N_hidden'(h_{t-1} U' + b_hidden') + b')
    h_t = (1 - z) n + z h_{t-1}

The two gates share a norm at a place and the candidate n has another there, as in the paper.

Shapes: T time, B batch, D features, H hidden size, K the gates r, z and the candidate n of H each.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated

import torch
from torch import Tensor

from seqbench.contracts.norm import Norm, Steps
from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, Dropout, NotNegative, OneOf
from seqbench.models.cells.time_loop.norm_layer import NormLayer, Placing
from seqbench.models.cells.time_loop.norm_stack import NormStack


class NormGRU(NormStack):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, H). State: (for each layer (h, memory of the norms), t), h (B, H), t
    (B,) the number of steps so far.

    - `norm` is the norm at the places `norms`, of input and hidden; `biases` has the places of biases: sum (b and b'),
      input and hidden.
    - `dropout` acts between layers.
    - `init`: W and U are orthogonal, or all weights and biases in +-`init_range` (uniform; null: 1/sqrt(H)).

    There is no compiled loop for it.
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: Count,
        norm: Callable[..., Norm],
        norms: Sequence[str] = ("input", "hidden"),
        biases: Sequence[str] = ("sum",),
        n_layers: Count = 1,
        dropout: Dropout = 0.0,
        init: Annotated[str, OneOf("orthogonal", "uniform")] = "orthogonal",
        init_range: NotNegative | None = None,
        peers: Peers | None = None,
    ):
        if "sum" in norms:
            raise ValueError("norms names places of a GRU, input and hidden: its sums have no norm")
        layers = [
            GRULayer(d_input if index == 0 else hidden_size, hidden_size, Placing(norm, norms, biases))
            for index in range(n_layers)
        ]
        for layer in layers:
            layer.reset_weights(init, init_range)
        super().__init__(layers, dropout, peers)


class GatesAndCandidate(Norm):
    """A norm of the gates' 2 H features beside one of the candidate's H, with the memory of both."""

    def __init__(self, norm: Callable[..., Norm], d_input: int):
        super().__init__()
        self.sizes = [d_input // 3 * 2, d_input // 3]
        self.gates, self.candidate = (norm(d_input=size) for size in self.sizes)
        self.couples_rows, self.reads = self.gates.couples_rows, self.gates.reads

    def over_time(self, x_TBD: Tensor, steps: Steps, memory: State) -> tuple[Tensor, State]:
        outputs, memories = [], []
        parts = zip((self.gates, self.candidate), x_TBD.split(self.sizes, -1), memory or (None, None), strict=True)
        for norm, part_TBD, of_part in parts:
            y_TBD, of_part = norm.over_time(part_TBD, steps, of_part)
            outputs.append(y_TBD)
            memories.append(of_part)
        return torch.cat(outputs, -1), tuple(memories)


class GRULayer(NormLayer):
    """One layer. State: (h, memory)."""

    def __init__(self, d_input: int, hidden_size: int, placing: Placing):
        n_gates = 3 * hidden_size
        sizes = {"input": n_gates, "hidden": n_gates, "sum": n_gates}
        norm = functools.partial(GatesAndCandidate, placing.norm)
        super().__init__(d_input, hidden_size, sizes, replace(placing, norm=norm))

    def forward(self, x_TB: Tensor, state: State, steps: Steps) -> tuple[Tensor, State]:
        h_BH, memory = state[0], dict(state[1])
        outputs = [h_BH.new_empty(0, *h_BH.shape)]
        for t, b_BK in enumerate(self.biased("sum", self.of_inputs(x_TB, steps, memory)).unbind(0)):
            a_BK = self.at("hidden", self.biased("hidden", h_BH @ self.weight_hidden), steps.only(t), memory)
            (a_r, a_z, a_n), (b_r, b_z, b_n) = a_BK.chunk(3, 1), b_BK.chunk(3, 1)
            n_BH = (b_n + (a_r + b_r).sigmoid() * a_n).tanh()
            h_BH = n_BH + (a_z + b_z).sigmoid() * (h_BH - n_BH)
            outputs.append(h_BH[None])
        return torch.cat(outputs), (h_BH, memory)
