"""Both directions: one model reads each sequence forwards, a second one backwards (Schuster and Paliwal 1997).

    y_t = (f(x_1, ..., x_t), g(x_T, ..., x_t))

T is each row's own length: g begins at the row's last position that is no padding.

Shapes: B batch, T time, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from seqbench.contracts.backbone import Backbone, ParameterGroup, at_last_valid
from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State
from seqbench.models.cells.attention.source import reversed_within


class Bidirectional(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, D), the features of both directions side by side. It has no state.

    - `backbone` makes the model of a direction, which must be causal: padding, which stands behind a sequence, is then
      read by neither direction. Its parameter groups hold both directions.

    What it says of a whole sequence (network.pool=last) is what each direction ends on: its features at the last valid
    position forwards, at the first one backwards.
    """

    causal = False
    streams = False
    reads_valid = True

    def __init__(self, d_input: int, backbone: Callable[..., Backbone]):
        super().__init__()
        self.forwards, self.backwards = backbone(d_input=d_input), backbone(d_input=d_input)
        for part in self.parts():
            if not isinstance(part, Backbone):
                raise ValueError(f"{type(part).__name__} has an encoder and a decoder, and reads no sequence alone")
            if not part.causal:
                raise ValueError(f"{type(part).__name__} is not causal: it reads both ways itself, or needs no order")
            if part.couples_rows:
                raise ValueError(f"{type(part).__name__} couples the rows of a batch, whose ends differ")
        self.d_output = self.forwards.d_output + self.backwards.d_output
        self.touches_all = self.forwards.touches_all

    def forward(
        self, x: Tensor, state: State = None, valid_BT: Tensor | None = None
    ) -> tuple[Tensor, State, Tensor | None]:
        if valid_BT is None:
            valid_BT = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
        forwards_BTD, _, aux = self.forwards(x)
        backwards_BTD, _, other_aux = self.backwards(_reversed(x, valid_BT))
        y_BTD = torch.cat([forwards_BTD, reversed_within(backwards_BTD, valid_BT)], 2)
        return y_BTD, None, aux if other_aux is None else aux + other_aux

    def last(self, y_BTD: Tensor, valid_BT: Tensor | None) -> Tensor:
        d_forwards = self.forwards.d_output
        return torch.cat([at_last_valid(y_BTD[..., :d_forwards], valid_BT), y_BTD[:, 0, d_forwards:]], 1)

    def parts(self) -> list[Backbone]:
        return [self.forwards, self.backwards]

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        backwards = self.backwards.parameter_groups()
        return {
            name: replace(group, parameters=[*group.parameters, *backwards[name].parameters])
            for name, group in self.forwards.parameter_groups().items()
        }

    def after_step(self, peers: Peers) -> None:
        for part in self.parts():
            part.after_step(peers)

    def diagnostics(self) -> dict[str, tuple[float, float]]:
        """Those of both directions, added up."""
        forwards, backwards = self.forwards.diagnostics(), self.backwards.diagnostics()
        return {name: (total + backwards[name][0], n + backwards[name][1]) for name, (total, n) in forwards.items()}


def _reversed(x: Tensor, valid_BT: Tensor) -> Tensor:
    """Each row's valid positions in reverse, of features or of ids."""
    return reversed_within(x, valid_BT) if x.dim() == 3 else reversed_within(x.unsqueeze(-1), valid_BT).squeeze(-1)
