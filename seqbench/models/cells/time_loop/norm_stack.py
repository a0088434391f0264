"""Recurrent layers with norms, one above the other, with dropout between them and the time since the beginning.

Shapes: T time, B batch, D features, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone, ParameterGroup
from seqbench.contracts.norm import Norm, Steps
from seqbench.contracts.peers import Alone, Peers
from seqbench.contracts.pytree import State
from seqbench.models.cells.norm.of_batch import estimate_population
from seqbench.models.cells.time_loop.norm_layer import NormLayer


class NormStack(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, H). State: (states of the layers, t). A layer's begins with h (B, H)
    and ends with the memory of its norms by place; t (B,) is the number of steps so far, the same in all rows, by which
    a norm's statistics are chosen.

    Statistics of a batch are of the rows that are not padding at a step (`valid_BT`). Those that are pooled over the
    steps make an output depend on later inputs in training; in evaluation they are the population's, and none does.
    """

    carries_norms = True

    def __init__(self, layers: Sequence[NormLayer], dropout: float, peers: Peers | None):
        super().__init__()
        if dropout > 0 and len(layers) == 1:
            raise ValueError(
                f"dropout={dropout} applies between layers and there is only one; use network.dropout_output"
            )
        self.layers, self.dropout, self.peers = nn.ModuleList(layers), dropout, peers or Alone()
        self.d_output = layers[-1].hidden_size
        self.couples_rows = any(isinstance(module, Norm) and module.couples_rows for module in self.modules())
        self.reads_valid = self.couples_rows

    def forward(self, x: Tensor, state: State = None, valid_BT: Tensor | None = None) -> tuple[Tensor, State, None]:
        with torch.autocast(x.device.type, enabled=False):
            x_TB, valid_TB = x.transpose(0, 1), None if valid_BT is None or valid_BT.all() else valid_BT.T
            x_TB = x_TB.to(self._layers()[0].weight_input.dtype) if x.is_floating_point() else x_TB
            states, t_B = self._first(x) if state is None else state
            steps = Steps(int(t_B[0]) if len(t_B) else 0, valid_TB, self.peers)
            new_states = []
            for index, (layer, before) in enumerate(zip(self._layers(), states, strict=True)):
                if index > 0:
                    x_TB = F.dropout(x_TB, self.dropout, self.training)
                x_TB, after = layer(x_TB, before, steps)
                new_states.append(after)
            return x_TB.transpose(0, 1), (tuple(new_states), t_B + len(x_TB)), None

    def prepare_evaluation(self, passes: Iterable[None], peers: Peers) -> None:
        """Estimate the population's statistics, if the norms have such, in passes over training batches."""
        estimate_population(self, passes)

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        return {"recurrent": ParameterGroup([layer.weight_hidden for layer in self._layers()], recurrent=True)}

    def _first(self, x: Tensor) -> State:
        t_B = torch.zeros(len(x), dtype=torch.long, device=x.device)
        return tuple(layer.first(len(x)) for layer in self._layers()), t_B

    def _layers(self) -> list[NormLayer]:
        return [layer for layer in self.layers if isinstance(layer, NormLayer)]
