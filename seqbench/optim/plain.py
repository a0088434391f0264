"""torch's fused LSTM and GRU as loops over linear maps, for who must see each of these or transform them.

Shapes: B batch, T time, D features, H hidden size.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from seqbench.compiled import plain_operations


class Unfused(TorchFunctionMode):
    """Within it a layer of torch's LSTM or GRU with biases, in one direction, is a loop over `F.linear`. Other layers
    stay as they are."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        loop = _LOOPS.get(func)
        if loop is None or not isinstance(args[3], bool):  # the other signature is of packed sequences
            return func(*args, **(kwargs or {}))
        x, state, weights, has_biases, n_layers, _, _, is_bidirectional, batch_first = args
        if n_layers > 1 or is_bidirectional or not has_biases:
            return func(*args, **(kwargs or {}))
        y_BTH, *last = loop(x if batch_first else x.transpose(0, 1), state, *weights)
        return (y_BTH if batch_first else y_BTH.transpose(0, 1), *last)


@contextlib.contextmanager
def unfused() -> Iterator[None]:
    """Within it a model's maps are `F.linear`, `F.conv2d`, `F.embedding` ... one by one: nothing compiled, no fused
    recurrence."""
    with plain_operations(), Unfused():
        yield


def _lstm(x_BTD: Tensor, state: tuple[Tensor, Tensor], weight_input, weight, bias_input, bias):
    h_BH, c_BH = state[0][0], state[1][0]
    outputs = []
    for gates_BK in F.linear(x_BTD, weight_input, bias_input).unbind(1):
        i_BH, f_BH, g_BH, o_BH = (gates_BK + F.linear(h_BH, weight, bias)).chunk(4, -1)
        c_BH = f_BH.sigmoid() * c_BH + i_BH.sigmoid() * g_BH.tanh()
        h_BH = o_BH.sigmoid() * c_BH.tanh()
        outputs.append(h_BH)
    return torch.stack(outputs, 1), h_BH[None], c_BH[None]


def _gru(x_BTD: Tensor, state: Tensor, weight_input, weight, bias_input, bias):
    h_BH = state[0]
    outputs = []
    for gates_BK in F.linear(x_BTD, weight_input, bias_input).unbind(1):
        x_r, x_z, x_n = gates_BK.chunk(3, -1)
        h_r, h_z, h_n = F.linear(h_BH, weight, bias).chunk(3, -1)
        z_BH = (x_z + h_z).sigmoid()
        n_BH = (x_n + (x_r + h_r).sigmoid() * h_n).tanh()
        h_BH = n_BH + z_BH * (h_BH - n_BH)
        outputs.append(h_BH)
    return torch.stack(outputs, 1), h_BH[None]


_LOOPS: dict[Any, Callable[..., tuple[Tensor, ...]]] = {torch.lstm: _lstm, torch.gru: _gru}
