"""Long short-term memory (Hochreiter and Schmidhuber 1997).

With the forget gate of Gers et al. 2000, on torch's fused kernels (cuDNN on a GPU) or, on a CPU, a compiled loop.

    i, f, o = sigmoid(W x_t + U h_{t-1} + b)    g = tanh(W_g x_t + U_g h_{t-1} + b_g)
    c_t = f * c_{t-1} + i * g                   h_t = o * tanh(c_t)

No peepholes. Two bias vectors a layer as in cuDNN, so a layer holds 4 (H D + H^2 + 2 H) parameters; counts in papers
with one bias are 4 H lower.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated

import torch
from torch import nn

from seqbench.contracts.ranges import AtLeast, Backend, Count, Dropout, NotNegative
from seqbench.models.cells.time_loop.stack import Init, LSTMLayer, RecurrentStack, initialise, weights


class LSTM(RecurrentStack):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, hidden_size). State: per layer (h, c), each (B, hidden_size).

    - `hidden_size` is one width, or a list of each layer's.
    - `dropout` acts between layers (Zaremba et al. 2014).
    - `init` is uniform (in +-`init_range`, torch's 1/sqrt(H) where null), glorot (TF1's BasicLSTMCell) or orthogonal.
    - `forget_bias` fixes the forget gate's summed bias at the start (null: as initialised).
    - `chrono_steps` T starts the forget gates' summed biases at b = log(u), u ~ U(1, T - 1), and the input gates' at
      -b: cells remember for 1 to T steps (Tallec and Ollivier 2018, arXiv 1804.11188).
    - `backend` does not affect results (cells/time_loop/stack.py).
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: Count | Sequence[Count],
        n_layers: Count = 1,
        dropout: Dropout = 0.0,
        init: Init = "uniform",
        init_range: NotNegative | None = None,
        forget_bias: float | None = None,
        backend: Backend = "auto",
        chrono_steps: Annotated[int, AtLeast(3)] | None = None,
    ):
        if chrono_steps is not None and forget_bias is not None:
            raise ValueError("one of forget_bias and chrono_steps is null")
        sizes = [hidden_size] * n_layers if isinstance(hidden_size, int) else list(hidden_size)
        if len(sizes) != n_layers:
            raise ValueError(f"hidden_size has {len(sizes)} widths, and there are n_layers={n_layers} layers")
        layers = [LSTMLayer(below, size, batch_first=True) for below, size in itertools.pairwise([d_input, *sizes])]
        for layer in layers:
            initialise(layer, init, init_range)
            if forget_bias is not None:
                _, _, input_bias, recurrent_bias = weights(layer)
                size = layer.hidden_size
                input_bias.data[size : 2 * size] = forget_bias
                recurrent_bias.data[size : 2 * size] = 0.0
            if chrono_steps is not None:
                _remember_up_to(chrono_steps, layer)
        super().__init__(layers, dropout, backend)


def _remember_up_to(n_steps: int, layer: nn.LSTM) -> None:
    _, _, input_bias, recurrent_bias = weights(layer)
    size = layer.hidden_size
    forget_bias_H = input_bias.data.new_empty(size).uniform_(1, n_steps - 1).log()
    input_bias.data[: 2 * size].copy_(torch.cat([-forget_bias_H, forget_bias_H]))
    recurrent_bias.data[: 2 * size] = 0.0
