"""A sequence read by an LSTM whose weights are packed in 1 or 4 bits, beside one of the same size in float32.

Forward alone, as one scores a text (T = 100) or generates one (T = 1): `calls` calls of B rows and T steps, each going
on from the state of the one before, with N units and N features.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seqbench.bench.suite import Contestant, Suite
from seqbench.models.cells.quantizer.real import Real
from seqbench.models.cells.quantizer.uniform import Uniform
from seqbench.models.recurrent.quantized_lstm import QuantizedLSTM

Step = Callable[[], None]


def data(B: int, N: int, T: int) -> Tensor:
    return torch.randn(B, T, N, generator=torch.Generator().manual_seed(0))


def reading(read: Callable[[Tensor, Any], tuple[Any, ...]], x_BTN: Tensor, calls: int) -> Step:
    """`read` gives outputs and a state."""

    @torch.no_grad()
    def step() -> None:
        state = None
        for _ in range(calls):
            _, state, *_ = read(x_BTN, state)

    return step


def packed(bits: int) -> Callable[..., Step]:
    def build(B: int, N: int, T: int, calls: int) -> Step:
        quantizer = functools.partial(Uniform, bits=bits)
        model = QuantizedLSTM(N, N, quantizer, quantizer, Real, backend="packed").eval()
        step = reading(model, data(B, N, T), calls)
        step()  # packs
        return step

    return build


def float32(B: int, N: int, T: int, calls: int) -> Step:
    return reading(nn.LSTM(N, N, batch_first=True).eval(), data(B, N, T), calls)


def cell(B: int, N: int, T: int, calls: int) -> Step:
    """Step by step: torch.nn.LSTM lays its weights out anew in each call, which costs most where it has few steps."""
    layer = nn.LSTMCell(N, N)

    def read(x_BTN: Tensor, state: Any) -> tuple[Any, ...]:
        for x_BN in x_BTN.unbind(1):
            state = layer(x_BN, state)
        return state[0], state

    return reading(read, data(B, N, T), calls)


def int8(B: int, N: int, T: int, calls: int) -> Step:
    """torch's own: weights of 8 bits, activations quantised on the way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that another package will have it
        # not the layer itself: only what stands within a module is replaced
        layers = nn.ModuleList([nn.LSTM(N, N, batch_first=True).eval()])
        (layer,) = torch.ao.quantization.quantize_dynamic(layers, {nn.LSTM})
    return reading(layer, data(B, N, T), calls)


SUITE = Suite(
    name="packed",
    title="An LSTM of packed weights, read forward",
    note="`calls` calls of B rows and T steps, each with the state of the one before; N units and features, one layer. "
    "Packed are weights and activations, of 1 bit (XNOR and a count of bits) or 4 (products of small whole numbers).",
    ours="seqbench, 4 bits",
    contestants=[
        Contestant("seqbench, 4 bits", packed(4)),
        Contestant("seqbench, 1 bit", packed(1)),
        Contestant("torch.nn.LSTM, float32", float32),
        Contestant("torch.nn.LSTMCell, float32", cell),
        Contestant("torch, int8 (dynamic)", int8),
    ],
    shapes=[{"B": 1, "N": N, "T": T, "calls": calls} for N in (300, 1024, 2048) for T, calls in ((1, 5), (100, 1))],
    n_tokens=lambda B, N, T, calls: B * T * calls,
    smaller={"T": 2, "calls": 1},
)
