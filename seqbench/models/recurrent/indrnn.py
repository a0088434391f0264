"""IndRNN: units that recur independently of each other (Li, Li, Cook, Zhu, Gao 2018, arXiv 1803.04831).

    h_t = relu(W x_t + u * h_{t-1} + b)         |u| <= `recurrent_max`, the paper's gamma^(1/T)

A unit reads only itself of the step before; units are mixed by W of the layer above. Since the gradient through n steps
is a product of n times u, a bound near 1 keeps it from exploding.

Shapes: B batch, T time, D features, H units.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone, ParameterGroup
from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, Positive


class IndRNN(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, hidden_size). State: per layer h (B, hidden_size).

    - `n_layers` are stacked.
    - `recurrent_max` bounds |u|, which starts in U(0, `recurrent_max`) and is clipped after each step; null: no bound,
      and a start in U(0, 1).

    W starts Kaiming-uniform for the rectifier, b at zero. The u are the parameter group "recurrent".
    """

    def __init__(self, d_input: int, hidden_size: Count, n_layers: Count = 2, recurrent_max: Positive | None = None):
        super().__init__()
        self.d_output, self.recurrent_max = hidden_size, recurrent_max
        widths = [d_input, *[hidden_size] * n_layers]
        layers = [nn.Linear(below, above) for below, above in pairwise(widths)]
        self.inputs = nn.ModuleList(layers)
        for layer in layers:
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        self.recurrent = nn.ParameterList(
            torch.empty(hidden_size).uniform_(0, recurrent_max or 1.0) for _ in range(n_layers)
        )

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        if not x.is_floating_point():
            first = self.inputs[0]
            assert isinstance(first, nn.Linear)
            x = F.one_hot(x, first.in_features).to(first.weight.dtype)
        ends = []
        for index, (layer, u_H) in enumerate(zip(self.inputs, self.recurrent, strict=True)):
            a_BTH = layer(x)
            h_BH = torch.zeros_like(a_BTH[:, 0]) if state is None else state[index]
            steps = []
            for a_BH in a_BTH.unbind(1):
                h_BH = (a_BH + u_H * h_BH).relu()
                steps.append(h_BH)
            x = torch.stack(steps, 1)
            ends.append(h_BH)
        return x, tuple(ends), None

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        return {"recurrent": ParameterGroup(list(self.recurrent), recurrent=True)}

    @torch.no_grad()
    def after_step(self, peers: Peers) -> None:
        if self.recurrent_max is not None:
            for u_H in self.recurrent:
                u_H.clamp_(-self.recurrent_max, self.recurrent_max)
