"""Simple recurrent network of quantised weights and activations (Hubara et al. 2016, arXiv 1609.07061).

    h_t = Q(tanh(Q(W) Q(x_t) + Q(U) h_{t-1} + b))

Quantised are W, U, x and h; not the biases, nor the embedding and the head. The parameters are model=rnn's, so that
init=<a run of it> quantises what it has learnt.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from seqbench.contracts.quantizer import Quantizer
from seqbench.contracts.ranges import Count, Dropout, NotNegative, Positive
from seqbench.models.cells.time_loop import packed
from seqbench.models.cells.time_loop.quantized import QuantizedStack
from seqbench.models.cells.time_loop.stack import Init, initialise


class QuantizedRNN(QuantizedStack):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, hidden_size). State: per layer h (B, hidden_size).

    - `weights`, `activations`, `gradients`: quantisers, the last one of the gradient before the tanh.
    - `quantizes_input`: whether x is quantised; not where it is one-hot.
    - `clip`: real weights are clipped to +-clip after each step (null: not).
    - `dropout` acts between layers; `init` and `init_range` are the RNN's.
    - `backend` does not affect results (cells/time_loop/quantized.py).
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: Count,
        weights: Callable[..., Quantizer],
        activations: Callable[..., Quantizer],
        gradients: Callable[..., Quantizer],
        n_layers: Count = 1,
        dropout: Dropout = 0.0,
        quantizes_input: bool = True,
        clip: Positive | None = 1.0,
        init: Init = "uniform",
        init_range: NotNegative | None = None,
        backend: packed.Backend = "auto",
    ):
        layers = [
            nn.RNN(d_input if index == 0 else hidden_size, hidden_size, batch_first=True) for index in range(n_layers)
        ]
        for layer in layers:
            initialise(layer, init, init_range)
        super().__init__(layers, dropout, weights, activations, gradients, quantizes_input, clip, backend)
