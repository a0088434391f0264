"""Averages: exponential moving averages of a projection, each with a rate that it learns; of no paper.

Shapes: B batch, T time, D features, H hidden_size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone, ParameterGroup
from seqbench.contracts.norm import Norm
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import AtLeast
from seqbench.models.cells.norm.layer_norm import LayerNorm


class Averages(Backbone):
    """h_t = (1 - r) h_{t-1} + r tanh(W x_t + b), normalised. State: h (B, H)."""

    def __init__(
        self,
        d_input: int,
        hidden_size: Annotated[int, AtLeast(1)],
        rate: float = 0.1,
        norm: Callable[..., Norm] = LayerNorm,
    ):
        super().__init__()
        self.d_output = hidden_size
        self.projection = nn.Linear(d_input, hidden_size)
        self.logit = nn.Parameter(torch.full((hidden_size,), rate).logit())
        self.norm = norm(d_input=hidden_size)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        if not x.is_floating_point():
            x = F.one_hot(x, self.projection.in_features).to(self.logit.dtype)
        u_BTH = self.projection(x).tanh()
        h_BH = torch.zeros_like(u_BTH[:, 0]) if state is None else state
        rate_H, outputs = self.logit.sigmoid(), []
        for u_BH in u_BTH.unbind(1):
            h_BH = (1 - rate_H) * h_BH + rate_H * u_BH
            outputs.append(h_BH)
        return self.norm(torch.stack(outputs, 1)), h_BH, None

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        return {"rates": ParameterGroup([self.logit])}
