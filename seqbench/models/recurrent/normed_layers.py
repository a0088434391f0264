"""LSTM layers, then dense ones, each followed by a norm (Ziaee and Çano 2022, arXiv 2209.08898).

    h = N(LSTM(h))   for each of `sizes`        h = N(tanh(W h + b))   for each of `dense`

The norms stand between layers, not within the recurrence. That is the network in which the paper compares batch layer
normalisation with its two parts on film reviews.

Shapes: B batch, T time, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Annotated

import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.norm import Norm, Steps
from seqbench.contracts.peers import Alone, Peers
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Between, Count
from seqbench.models.cells.norm.batch_layer_norm import BatchLayerNorm
from seqbench.models.cells.norm.of_batch import estimate_population

GATES = 4


class NormedLayers(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, D), D the last of `dense`, or of `sizes` where there is none.

    - `dropout` of each LSTM layer's inputs, one mask for all steps of a sequence.
    - `scale`: outputs of the norms are divided by sqrt(D), as batch layer normalisation divides its own; it tells
      what of a difference comes from that alone.

    W start by Glorot's uniform, the recurrent ones too, and the dense ones orthogonal; b at 0, that of the forget gate
    at 1. There is no state.
    """

    streams = False
    carries_norms = True  # each reads a sequence from its beginning

    def __init__(
        self,
        d_input: int,
        sizes: Sequence[Count],
        norm: Callable[..., Norm],
        dense: Sequence[Count] = (),
        dropout: Annotated[float, Between(0, 1, without_high=True)] = 0.0,
        scale: bool = False,
        peers: Peers | None = None,
    ):
        super().__init__()
        if not sizes:
            raise ValueError("sizes names no layer")
        widths = [d_input, *sizes, *dense]
        self.d_input, self.d_output, self.dropout = d_input, widths[-1], dropout
        lstms = [nn.LSTM(*pair, batch_first=True) for pair in pairwise(widths[: len(sizes) + 1])]
        layers = [nn.Linear(*pair) for pair in pairwise(widths[len(sizes) :])]
        norms = [norm(d_input=width) for width in widths[1:]]
        if scale and isinstance(norms[0], BatchLayerNorm):
            raise ValueError("scale=true has no effect here: batch_layer_norm divides by sqrt(D) itself")
        self.lstms, self.dense, self.norms = nn.ModuleList(lstms), nn.ModuleList(layers), nn.ModuleList(norms)
        self.scale, self.peers = scale, peers or Alone()
        self.couples_rows = self.reads_valid = any(one.couples_rows for one in norms)
        for lstm in lstms:
            for name, parameter in lstm.named_parameters():
                if name.startswith("weight"):
                    nn.init.xavier_uniform_(parameter)
                else:
                    nn.init.zeros_(parameter)
            lstm.get_parameter("bias_ih_l0").data.chunk(GATES)[1].fill_(1.0)
        for layer in layers:
            nn.init.orthogonal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, state: State = None, valid_BT: Tensor | None = None) -> tuple[Tensor, State, None]:
        h_BTD = x if x.is_floating_point() else F.one_hot(x, self.d_input).to(next(self.parameters()).dtype)
        steps = Steps(0, None if valid_BT is None else valid_BT.T, self.peers)
        norms = (norm for norm in self.norms if isinstance(norm, Norm))
        for lstm in self.lstms:
            h_BTD = self._normalised(next(norms), lstm(self._dropped(h_BTD))[0], steps)
        for layer in self.dense:
            h_BTD = self._normalised(next(norms), layer(h_BTD).tanh(), steps)
        return h_BTD, None, None

    def prepare_evaluation(self, passes: Iterable[None], peers: Peers) -> None:
        estimate_population(self, passes)

    def _dropped(self, h_BTD: Tensor) -> Tensor:
        """Whole channels of (B, D, T) are dropped, which are features at all steps."""
        return F.dropout1d(h_BTD.transpose(1, 2), self.dropout, self.training).transpose(1, 2)

    def _normalised(self, norm: Norm, h_BTD: Tensor, steps: Steps) -> Tensor:
        y_TBD, _ = norm.over_time(h_BTD.transpose(0, 1), steps, None)
        return (y_TBD / h_BTD.shape[-1] ** 0.5 if self.scale else y_TBD).transpose(0, 1)
