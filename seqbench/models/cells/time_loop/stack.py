"""Layers of LSTM or GRU, one above the other, with dropout between them, in torch's fused kernels or a compiled loop.

One `nn.LSTM` or `nn.GRU` a layer instead of `num_layers`: cuDNN draws its own inter-layer dropout masks, which no seed
reproduces (pytorch#104697); ours come from torch's generator.

Shapes: B batch, T time, D features, H hidden size.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone, ParameterGroup
from seqbench.contracts.pytree import State, tree_map
from seqbench.contracts.ranges import OneOf
from seqbench.models.cells.time_loop.gated import layer as compiled_layer
from seqbench.models.cells.time_loop.gated import with_weights

Init = Annotated[str, OneOf("uniform", "glorot", "orthogonal")]


def lstm_unsupported_in_half(x: Tensor) -> bool:
    """Whether torch's LSTM ends in an error on x: under autocast on a CPU for which oneDNN has none in that type."""
    in_half = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    return in_half and not _has_lstm(torch.get_autocast_dtype("cpu"))


@functools.cache
def _has_lstm(dtype: torch.dtype) -> bool:
    """Whether oneDNN has an LSTM of this type here. Tried with the smallest one: which of a CPU's instructions it needs
    differs by type and by version. Zeros, since a draw would move the run's generator."""
    zero_111 = torch.zeros(1, 1, 1)
    weights = [torch.zeros(4, 1), torch.zeros(4, 1), torch.zeros(4), torch.zeros(4)]
    try:
        with torch.no_grad(), torch.autocast("cpu", dtype=dtype):
            torch.lstm(zero_111, (zero_111, zero_111), weights, True, 1, 0.0, True, False, batch_first=True)
    except RuntimeError:
        return False
    return True


def lstm(
    parameters: Sequence[Tensor], x: Tensor, before: State, training: bool, backend: str = "reference"
) -> tuple[Tensor, State]:
    """One layer of weights that are no module's own, such as masked ones: (y, (h, c)). A module would keep its weights,
    and on a GPU move them. x are features (B, T, D), or ids (B, T) that stand for one-hot vectors."""
    compiled = with_weights(parameters, True, x, before, backend)
    if compiled is not None:
        return compiled
    input_weight, recurrent_weight, *_ = parameters
    if not x.is_floating_point():
        x = F.one_hot(x, input_weight.shape[1]).to(input_weight.dtype)
    if lstm_unsupported_in_half(x):
        with torch.autocast("cpu", enabled=False):
            return lstm(parameters, x.float(), tree_map(Tensor.float, before), training)
    zero_BH = x.new_zeros(len(x), recurrent_weight.shape[1])
    h_BH, c_BH = (zero_BH, zero_BH) if before is None else before
    y, h_1BH, c_1BH = torch.lstm(
        x, (h_BH[None], c_BH[None]), list(parameters), True, 1, 0.0, training, False, batch_first=True
    )
    return y, (h_1BH[0], c_1BH[0])


class LSTMLayer(nn.LSTM):
    """torch's, in float32 where it would stop in half precision."""

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        if lstm_unsupported_in_half(x):
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float(), tree_map(Tensor.float, state))
        return super().forward(x, state)


class RecurrentStack(Backbone):
    """`layers` in order, each fed the one below after `dropout`. State: a tuple, one entry a layer: (B, H), or
    (hidden, cell) of such for an LSTM. `backend`: reference is torch's kernel (cuDNN's on a GPU), native a compiled
    loop on a CPU, auto the faster one (gated.py)."""

    machine_settings = ("backend",)

    def __init__(self, layers: Sequence[nn.RNNBase], dropout: float, backend: str = "reference"):
        super().__init__()
        if dropout > 0 and len(layers) == 1:
            raise ValueError(
                f"dropout={dropout} applies between layers and there is only one; use network.dropout_output"
            )
        self.backend = backend
        self.layers = nn.ModuleList(layers)
        self.dropout = dropout
        self.d_output = layers[-1].hidden_size
        self._d_input = layers[0].input_size

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        new_state = []
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, nn.RNNBase)
            if index > 0:
                x = F.dropout(x, self.dropout, self.training)
            before = None if state is None else state[index]
            x, after = compiled_layer(layer, x, before, self.backend) or self._torch(layer, x, before)
            new_state.append(after)
        return x, tuple(new_state), None

    def _torch(self, layer: nn.RNNBase, x: Tensor, before: State) -> tuple[Tensor, State]:
        if not x.is_floating_point():
            x = F.one_hot(x, self._d_input).to(weights(layer)[0].dtype)
        y, after = layer(x, tree_map(lambda tensor: tensor.unsqueeze(0), before))
        return y, tree_map(lambda tensor: tensor.squeeze(0), after)

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        return {"recurrent": ParameterGroup([weights(layer)[1] for layer in self.layers], recurrent=True)}


def weights(layer: nn.Module) -> list[nn.Parameter]:
    """Input weights (gates * H, D), recurrent weights (gates * H, H) and the two biases (gates * H,) of a layer."""
    assert isinstance(layer, nn.RNNBase)
    return layer.all_weights[0]


def initialise(layer: nn.RNNBase, init: str, init_range: float | None) -> None:
    """Fill one layer's weights and biases in place.

    uniform: all of U(-r, r), r = `init_range` or torch's 1/sqrt(H). glorot: Glorot's uniform over the joint kernel of
    shape (D + H, gates * H), as TF1's BasicLSTMCell has it, biases zero. orthogonal: each recurrent gate
    an orthogonal matrix, input weights Glorot, biases zero.
    """
    if init != "uniform" and init_range is not None:
        raise ValueError(f"init_range={init_range} is for init=uniform, not {init}")
    input_weight, recurrent_weight, *biases = weights(layer)
    hidden_size, gates = layer.hidden_size, len(recurrent_weight) // layer.hidden_size
    if init == "uniform":
        bound = 1 / math.sqrt(hidden_size) if init_range is None else init_range
        for parameter in layer.parameters():
            nn.init.uniform_(parameter, -bound, bound)
        return
    for bias in biases:
        nn.init.zeros_(bias)
    bound = math.sqrt(6 / (layer.input_size + hidden_size + gates * hidden_size))
    nn.init.uniform_(input_weight, -bound, bound)
    if init == "glorot":
        nn.init.uniform_(recurrent_weight, -bound, bound)
    else:
        for gate_HH in recurrent_weight.data.split(hidden_size):
            nn.init.orthogonal_(gate_HH)
