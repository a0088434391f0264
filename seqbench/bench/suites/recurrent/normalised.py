"""BN-LSTM's training step on sequences of pixels, compared with a loop over time in PyTorch.

The loop is written well: one product and one normalisation of all inputs before it, torch's own batch norm, whose shift
is the gates' bias, and one sigmoid for the three gates that have one. Everyone trains one layer of N units on the same
batch: B sequences of T numbers, a class of 10 for each; forward, backward, optimizer.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.bench.measure import device
from seqbench.bench.suite import Contestant, Suite
from seqbench.contracts.batch import Batch
from seqbench.embeddings.one_hot import OneHot
from seqbench.heads.softmax import Softmax
from seqbench.learners.network import Network
from seqbench.models.cells.norm.batch_norm import BatchNorm
from seqbench.models.recurrent.norm_lstm import NormLSTM

N_CLASSES, EPS = 10, 1e-5
Step = Callable[[], None]


def batch(B: int, T: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    inputs_BT1 = torch.rand(B, T, 1, generator=generator).to(device())
    return Batch(inputs_BT1, torch.randint(0, N_CLASSES, (B,), generator=generator).to(device()))


def seqbench(backend: str) -> Callable[..., Step]:
    def build(B: int, N: int, T: int) -> Step:
        data, backbone = batch(B, T), NormLSTM(1, N, functools.partial(BatchNorm, n_steps=T), backend=backend)
        network = Network(OneHot(None, 1), backbone, Softmax(N, N_CLASSES), pool="last").to(device())
        optimizer = torch.optim.RMSprop(network.parameters(), lr=1e-4)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            (network(data)[0] / data.count()).backward()
            optimizer.step()

        return step

    return build


class UserLoop(nn.Module):
    """What a user would write. Gates: i, f, o, g."""

    def __init__(self, N: int):
        super().__init__()
        self.input, self.recurrent = nn.Linear(1, 4 * N, bias=False), nn.Linear(N, 4 * N, bias=False)
        self.gain_input, self.gain_hidden = (nn.Parameter(torch.full((4 * N,), 0.1)) for _ in range(2))
        self.gain_cell = nn.Parameter(torch.full((N,), 0.1))
        self.bias, self.bias_cell = nn.Parameter(torch.zeros(4 * N)), nn.Parameter(torch.zeros(N))
        self.h, self.c = nn.Parameter(torch.zeros(N)), nn.Parameter(torch.zeros(N))

    def forward(self, x_BTD: Tensor) -> Tensor:
        N = len(self.h)
        b_TBK = self.input(x_BTD.transpose(0, 1))
        variance_T1K, mean_T1K = torch.var_mean(b_TBK, 1, correction=0, keepdim=True)
        b_TBK = (b_TBK - mean_T1K) * (torch.rsqrt(variance_T1K + EPS) * self.gain_input)
        h_BN, c_BN = self.h.expand(len(x_BTD), N), self.c.expand(len(x_BTD), N)
        for b_BK in b_TBK.unbind(0):
            a_BK = F.batch_norm(self.recurrent(h_BN), None, None, self.gain_hidden, self.bias, True, 0.0, EPS)
            i_f_o, g = (a_BK + b_BK).split((3 * N, N), 1)
            i, f, o = i_f_o.sigmoid().chunk(3, 1)
            c_BN = torch.addcmul(f * c_BN, i, g.tanh())
            h_BN = o * F.batch_norm(c_BN, None, None, self.gain_cell, self.bias_cell, True, 0.0, EPS).tanh()
        return h_BN


def user(B: int, N: int, T: int) -> Step:
    data = batch(B, T)
    network = nn.Sequential(UserLoop(N), nn.Linear(N, N_CLASSES)).to(device())
    optimizer = torch.optim.RMSprop(network.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(network(data.inputs), data.targets).backward()
        optimizer.step()

    return step


SUITE = Suite(
    name="normalised",
    title="BN-LSTM: one training step on sequences of pixels",
    note="B sequences of T numbers, N units, float32; forward, backward and optimizer.",
    ours="seqbench",
    contestants=[
        Contestant("seqbench", seqbench("native" if device().type == "cpu" else "auto")),
        Contestant("seqbench, reference", seqbench("reference")),
        Contestant("user's loop, torch's batch norm", user),
    ],
    shapes=[{"B": B, "N": N, "T": T} for B, N, T in [(100, 100, 784), (20, 100, 784), (64, 200, 100)]],
    n_tokens=lambda B, N, T: B * T,
)
