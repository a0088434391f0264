"""Gated convolutional language model (Dauphin, Fan, Auli, Grangier, ICML 2017, arXiv 1612.08083).

    h(X) = (X * W + b) . sigmoid(X * V + c),   X * W causal: output t sees inputs t - k + 1, ..., t

One layer above the other, with residual sums and no positional embedding. The paper's other gates, by the same two
convolutions P = X * W + b and Q = X * V + c: gtu tanh(P) . sigmoid(Q), bilinear P . Q; and by one alone, so that the
layer has half the parameters: linear P, relu max(P, 0).

The numbering of residuals, the first projection and `convs2s` are those of fairseq's FConvDecoder, the authors' code.

Shapes: B batch, T time, D features, C channels, k kernel.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from seqbench.contracts.backbone import Backbone
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Dropout, OneOf


def _gtu(z: Tensor) -> Tensor:
    p, q = z.chunk(2, 1)
    return p.tanh() * q.sigmoid()


def _bilinear(z: Tensor) -> Tensor:
    p, q = z.chunk(2, 1)
    return p * q


GATES: dict[str, tuple[int, Callable[[Tensor], Tensor]]] = {  # convolutions a layer, and what becomes of them
    "glu": (2, lambda z: F.glu(z, 1)),
    "gtu": (2, _gtu),
    "bilinear": (2, _bilinear),
    "linear": (1, lambda z: z),
    "relu": (1, F.relu),
}


class GatedCNN(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, channels of the last layer).

    - `layers` lists (channels, k, r), or (channels, k) with r = 1: the input of the layer r - 1 before is added to the
      layer's output (r = 1: its own input; 0: none), through a linear map where widths differ. A linear map takes x to
      the first layer's channels.
    - `gate` is one of the above.
    - `weight_norm` (Salimans and Kingma 2016, w = g v / ||v|| for each output channel) is on every weight, the linear
      maps' too; `bias` gives convolutions and linear maps one, which starts at 0.
    - `dropout` acts on each layer's input, not on what the residual adds.
    - `residual_scale` multiplies the sum with the residual (1 in the paper, sqrt(0.5) in fairseq).
    - `init` is kaiming (the paper's), N(0, 2 / fan-in), or convs2s (fairseq's), with p = dropout
      N(0, 4 (1 - p) / fan-in) for convolutions, N(0, (1 - p) / fan-in) for the first linear map, N(0, 1 / fan-in) for
      the residuals'.

    State: for each layer its last k - 1 inputs (B, k - 1, C), after dropout: an input is dropped once, whichever window
    reads it. Trained in windows with the state carried, the network sees the tokens before the window as an LSTM does,
    and no gradient reaches them: back-propagation through time, truncated.
    """

    def __init__(
        self,
        d_input: int,
        layers: Sequence[Sequence[int]],
        gate: Annotated[str, OneOf(*GATES)] = "glu",
        weight_norm: bool = True,
        bias: bool = True,
        dropout: Dropout = 0.0,
        residual_scale: float = 1.0,
        init: Annotated[str, OneOf("kaiming", "convs2s")] = "kaiming",
    ):
        super().__init__()
        self._specs = _checked(layers)
        self._n_maps, self._gate = GATES[gate]
        self.dropout, self.residual_scale = dropout, residual_scale
        widths = [self._specs[0][0]]  # of each layer's input
        self.input = nn.Linear(d_input, widths[0], bias)
        self.layers, self.projections = nn.ModuleList(), nn.ModuleList()
        for channels, kernel, back in self._specs:
            narrow = back == 0 or widths[-back] == channels
            self.projections.append(nn.Identity() if narrow else nn.Conv1d(widths[-back], channels, 1, bias=bias))
            self.layers.append(nn.Conv1d(widths[-1], channels * self._n_maps, kernel, bias=bias))
            widths.append(channels)
        self.d_output = widths[-1]
        gains = [(module, 4 * (1 - dropout)) for module in self.layers]  # of convs2s
        gains += [(self.input, 1 - dropout)]
        gains += [(module, 1) for module in self.projections if isinstance(module, nn.Conv1d)]
        for module, gain in gains:
            _initialise(module, 2 if init == "kaiming" else gain)
            if weight_norm:
                parametrizations.weight_norm(module, dim=0)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        time = x.shape[1]
        if time == 0:
            return self.input.weight.new_zeros(len(x), 0, self.d_output), state, None
        x_BCT, new_state = self._first(x).transpose(1, 2), []
        inputs = deque([x_BCT], maxlen=max(1, *(back for _, _, back in self._specs)))
        for index, (_, kernel, back) in enumerate(self._specs):
            seen = F.dropout(x_BCT, self.dropout, self.training)
            if kernel > 1:
                if state is None:
                    before = seen.new_zeros(*seen.shape[:2], kernel - 1)
                else:
                    before = state[index].transpose(1, 2).to(seen.dtype)
                seen = torch.cat([before, seen], 2)
            new_state.append(seen[:, :, time:].transpose(1, 2).clone())  # a view would keep all of `seen`
            x_BCT = self._gate(self.layers[index](seen))
            if back > 0:
                x_BCT = (x_BCT + self.projections[index](inputs[-back])) * self.residual_scale
            inputs.append(x_BCT)
        return x_BCT.transpose(1, 2), tuple(new_state), None

    def _first(self, x: Tensor) -> Tensor:
        """The linear map (B, T, C) of features, or of ids that stand for one-hot vectors."""
        if x.is_floating_point():
            return self.input(x)
        y_BTC = F.embedding(x, self.input.weight.T)
        return y_BTC if self.input.bias is None else y_BTC + self.input.bias


def _checked(layers: Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
    """(channels, k, r) of each layer. Raises `ValueError`."""
    if not isinstance(layers, Sequence) or not layers:
        raise ValueError(f"layers is a list of [channels, kernel, residual], not {layers!r}")
    checked = []
    for index, layer in enumerate(layers):
        if not isinstance(layer, Sequence) or len(layer) not in (2, 3) or any(type(n) is not int for n in layer):
            raise ValueError(f"each of layers is [channels, kernel] or [channels, kernel, residual], not {layer!r}")
        channels, kernel, back = (*layer, 1)[:3]
        if channels < 1 or kernel < 1:
            raise ValueError(f"channels and kernel are at least 1, not as in layers[{index}]={list(layer)}")
        if not 0 <= back <= index + 1:
            raise ValueError(f"the residual of layers[{index}] is between 0 and {index + 1}, not {back}")
        checked.append((channels, kernel, back))
    return checked


def _initialise(module: nn.Module, gain: float) -> None:
    """Normal weights of variance gain / fan-in, zero bias."""
    assert isinstance(module, (nn.Linear, nn.Conv1d))
    nn.init.normal_(module.weight, 0.0, math.sqrt(gain / module.weight[0].numel()))
    if module.bias is not None:
        nn.init.zeros_(module.bias)
