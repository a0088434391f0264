"""Multilayer perceptron: at each step a stack of linear layers, without memory.

Shapes: B batch, T time, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, OneOf

NONLINEARITIES = {"relu": F.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


class MLP(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, the last of `sizes`): h = f(W h + b) for each of `sizes`.

    W start by Glorot's uniform, b at 0. There is no state.
    """

    streams = False

    def __init__(
        self, d_input: int, sizes: Sequence[Count], nonlinearity: Annotated[str, OneOf(*NONLINEARITIES)] = "relu"
    ):
        super().__init__()
        if not sizes:
            raise ValueError("sizes names no layer")
        self.d_output = sizes[-1]
        self.nonlinearity = NONLINEARITIES[nonlinearity]
        self.d_input = d_input
        layers = [nn.Linear(*widths) for widths in pairwise([d_input, *sizes])]
        for layer in layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        h_BTD = x if x.is_floating_point() else F.one_hot(x, self.d_input).to(next(self.parameters()).dtype)
        for layer in self.layers:
            h_BTD = self.nonlinearity(layer(h_BTD))
        return h_BTD, None, None
