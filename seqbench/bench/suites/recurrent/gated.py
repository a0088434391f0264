"""Compiled LSTM and GRU layers, compared with torch's own on a training step of the copy task, as in recurrent.py."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from seqbench.bench.measure import device
from seqbench.bench.suite import Contestant, Suite
from seqbench.bench.suites.recurrent.recurrent import N_INPUTS, TorchRecurrence, ours, peer
from seqbench.models.recurrent.gru import GRU
from seqbench.models.recurrent.lstm import LSTM

Step = Callable[[], None]


def seqbench(backend: str) -> Callable[..., Step]:
    def build(gates: int, B: int, N: int, T: int) -> Step:
        layer = LSTM if gates == 4 else GRU
        return ours(lambda N: layer(N_INPUTS, N, backend=backend), torch.optim.RMSprop)(B, N, T)

    return build


def users(gates: int, B: int, N: int, T: int) -> Step:
    layer = nn.LSTM if gates == 4 else nn.GRU
    return peer(lambda N: TorchRecurrence(layer(N_INPUTS, N, batch_first=True)))(B, N, T)


SUITE = Suite(
    name="gated",
    title="LSTM (4 gates) and GRU (3 gates): one training step of the copy task",
    note="B sequences of T + 20 symbols, N units, float32; forward, backward and optimizer.",
    ours="seqbench",
    contestants=[
        Contestant("seqbench", seqbench("native" if device().type == "cpu" else "auto")),
        Contestant("torch.nn.LSTM or GRU", users),
    ],
    shapes=[
        {"gates": gates, "B": B, "N": N, "T": T}
        for gates in (3, 4)
        for B, N, T in [(20, 68, 1000), (20, 190, 1000), (128, 190, 200), (20, 650, 35)]
    ],
    n_tokens=lambda gates, B, N, T: B * (T + 20),
)
