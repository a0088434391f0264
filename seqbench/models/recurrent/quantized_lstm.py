"""LSTM of quantised weights and activations (Hubara et al. 2016, arXiv 1609.07061).

    i, f, o = sigmoid(Q(W) Q(x_t) + Q(U) h_{t-1} + b)    g = tanh(the like)
    c_t = f * c_{t-1} + i * g                            h_t = Q(o * tanh(c_t))

Quantised are W, U, x and h; not the biases, the gates and the cell, nor the embedding and the head. The gate order and
the parameters are model=lstm's, so that init=<a run of it> quantises what it has learnt.
"""

from __future__ import annotations

from collections.abc import Callable

from seqbench.contracts.quantizer import Quantizer
from seqbench.contracts.ranges import Count, Dropout, NotNegative, Positive
from seqbench.models.cells.time_loop import packed
from seqbench.models.cells.time_loop.quantized import QuantizedStack
from seqbench.models.cells.time_loop.stack import Init, LSTMLayer, initialise


class QuantizedLSTM(QuantizedStack):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, hidden_size). State: per layer (h, c), each (B, hidden_size).

    - `weights`, `activations`, `gradients`: quantisers, the last one of the gradient at the gates.
    - `quantizes_input`: whether x is quantised; not where it is one-hot.
    - `clip`: real weights are clipped to +-clip after each step (null: not).
    - `dropout` acts between layers; `init` and `init_range` are the LSTM's.
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
            LSTMLayer(d_input if index == 0 else hidden_size, hidden_size, batch_first=True)
            for index in range(n_layers)
        ]
        for layer in layers:
            initialise(layer, init, init_range)
        super().__init__(layers, dropout, weights, activations, gradients, quantizes_input, clip, backend)
