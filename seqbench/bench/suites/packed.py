"""One sequence read by an LSTM whose weights are packed in 1 or 4 bits, beside one of the same size in float32.

Forward alone, as one generates or scores a text: B rows, T steps, N units, N features. All layers compute what their own
weights say: the packed ones exactly what quantised weights give, torch's what real ones do.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from seqbench.bench.suite import Contestant, Suite
from seqbench.models.cells.quantizer.real import Real
from seqbench.models.cells.quantizer.uniform import Uniform
from seqbench.models.recurrent.quantized_lstm import QuantizedLSTM

Step = Callable[[], None]


def data(B: int, N: int, T: int) -> Tensor:
    return torch.randn(B, T, N, generator=torch.Generator().manual_seed(0))


def reading(model: nn.Module, x_BTN: Tensor) -> Step:
    model.eval()

    @torch.no_grad()
    def step() -> None:
        model(x_BTN)

    return step


def packed(bits: int) -> Callable[..., Step]:
    def build(B: int, N: int, T: int) -> Step:
        quantizer = functools.partial(Uniform, bits=bits)
        model = QuantizedLSTM(N, N, quantizer, quantizer, Real, backend="packed")
        step = reading(model, data(B, N, T))
        step()  # packs
        return step

    return build


def float32(B: int, N: int, T: int) -> Step:
    return reading(nn.LSTM(N, N, batch_first=True), data(B, N, T))


def cell(B: int, N: int, T: int) -> Step:
    """Step by step: torch.nn.LSTM lays its weights out anew in each call, which costs most where a call has few steps."""
    layer, x_BTN = nn.LSTMCell(N, N), data(B, N, T)

    @torch.no_grad()
    def step() -> None:
        state = None
        for x_BN in x_BTN.unbind(1):
            state = layer(x_BN, state)

    return step


def int8(B: int, N: int, T: int) -> Step:
    """torch's own: weights of 8 bits, activations quantised on the way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that another package will have it
        # not the layer itself: only what stands within a module is replaced
        model = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.LSTM(N, N, batch_first=True)), {nn.LSTM})
    return reading(model, data(B, N, T))


SUITE = Suite(
    name="packed",
    title="An LSTM of packed weights, read forward",
    note="B rows, T steps, N units and features, one layer; weights and activations of 1 bit (XNOR and a count of bits) or "
    "4 bits (products of small whole numbers).",
    ours="seqbench, 4 bits",
    contestants=[
        Contestant("seqbench, 4 bits", packed(4)),
        Contestant("seqbench, 1 bit", packed(1)),
        Contestant("torch.nn.LSTM, float32", float32),
        Contestant("torch.nn.LSTMCell, float32", cell),
        Contestant("torch, int8 (dynamic)", int8),
    ],
    shapes=[{"B": 1, "N": N, "T": T} for N in (300, 1024, 2048) for T in (1, 100)],
    n_tokens=lambda B, N, T: B * T,
)
