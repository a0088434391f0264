"""KRU's recurrence, compared with a loop that applies its factors one by one and with a dense one of the same width.

Forward and backward of T steps on B rows, one-hot inputs, all outputs summed with fixed weights.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.bench.measure import device
from seqbench.bench.suite import Contestant, Suite
from seqbench.models.cells.maps.kronecker import random_unitary
from seqbench.models.cells.time_loop.recurrence import Dense, Spare, recurrence
from seqbench.models.unitary.kru import KRU

N_INPUTS, N_CLASSES = 10, 9
Step = Callable[[], None]


def data(B: int, T: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids_BT = torch.randint(0, N_INPUTS, (B, T), generator=generator)
    return ids_BT.to(device()), torch.randn(B, T, N_CLASSES, generator=generator).to(device())


def kru(backend: str) -> Callable[..., Step]:
    def build(B: int, N: int, P: int, complex: int, T: int) -> Step:
        ids_BT, mix_BTC = data(B, T)
        model = KRU(N_INPUTS, N, _sizes(N, P), complex=bool(complex), backend=backend).to(device())
        readout = nn.Parameter(torch.randn(N_CLASSES, model.d_output, device=device()))

        def step() -> None:
            read = model.read(ids_BT, None, readout)
            z_BTC = read[0] if read is not None else model(ids_BT)[0] @ readout.T
            (z_BTC * mix_BTC).sum().backward()

        return step

    return build


def factor_by_factor(B: int, N: int, P: int, complex: int, T: int) -> Step:
    """The paper's algorithm in PyTorch: each factor contracts its own axis of the state, complex where they are."""
    ids_BT, mix_BTC = data(B, T)
    factors = [nn.Parameter(random_unitary(P, bool(complex)).to(device())) for _ in _sizes(N, P)]
    dtype = factors[0].dtype
    table, bias = (
        nn.Parameter(torch.randn(N_INPUTS, N, dtype=dtype, device=device()) * 0.01),
        torch.zeros(N, device=device()),
    )
    bias = nn.Parameter(bias)
    readout = nn.Parameter(torch.randn(N_CLASSES, N * (2 if complex else 1), device=device()))

    def apply(h_BN: Tensor) -> Tensor:
        rows = h_BN
        for factor in factors:  # the axis in front is contracted and goes to the back: after all of them, all are home
            rows = (rows.reshape(B, P, -1).transpose(1, 2) @ factor.T).reshape(B, -1)
        return rows

    def step() -> None:
        h, outputs = torch.zeros(B, N, dtype=dtype, device=device()), []
        for x in table[ids_BT.T].unbind(0):
            z = x + apply(h)
            size = z.abs()
            h = z * (F.relu(size + bias) / (size + 1e-8))
            outputs.append(h)
        h_TBN = torch.stack(outputs)
        y_TBH = torch.cat([h_TBN.real, h_TBN.imag], -1) if complex else h_TBN
        ((y_TBH @ readout.T).transpose(0, 1) * mix_BTC).sum().backward()

    return step


def dense(B: int, N: int, P: int, complex: int, T: int) -> Step:
    """Our own recurrence with a dense W of the same width: what Kronecker products have to beat."""
    ids_BT, mix_BTC = data(B, T)
    H = N * (2 if complex else 1)
    weight = nn.Parameter(torch.linalg.qr(torch.randn(H, H))[0].to(device()))
    table, bias = (
        nn.Parameter(torch.randn(N_INPUTS, H, device=device()) * 0.01),
        nn.Parameter(torch.zeros(H, device=device())),
    )
    readout, spare = nn.Parameter(torch.randn(N_CLASSES, H, device=device())), Spare()

    def step() -> None:
        before = torch.zeros(B, H, device=device())
        outputs = recurrence(ids_BT.T, table, bias, Dense(weight), "modrelu", before, spare, "auto", readout)
        assert outputs is not None
        (outputs[0].transpose(0, 1) * mix_BTC).sum().backward()

    return step


def _sizes(N: int, P: int) -> list[int]:
    sizes = []
    while N > 1:
        sizes, N = [*sizes, P], N // P
    return sizes


SUITE = Suite(
    name="kronecker",
    title="KRU: forward and backward of its recurrence",
    note="B rows, T steps, N units, factors of P x P, complex or real, float32; a complex state has 2 N numbers, and "
    "so has the dense recurrence beside it.",
    ours="seqbench",
    contestants=[
        Contestant("seqbench", kru("native" if device().type == "cpu" else "auto")),
        Contestant("seqbench, reference", kru("reference")),
        Contestant("factor by factor", factor_by_factor),
        Contestant("seqbench, dense W", dense),
    ],
    shapes=[
        {"B": 128, "N": 256, "P": 4, "complex": 0, "T": 50},
        {"B": 128, "N": 1024, "P": 4, "complex": 0, "T": 50},
        {"B": 128, "N": 4096, "P": 4, "complex": 0, "T": 10},
        {"B": 128, "N": 256, "P": 2, "complex": 1, "T": 50},
    ],
    n_tokens=lambda B, N, P, complex, T: B * T,
)
