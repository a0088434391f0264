"""uRNN's training step on the copy task, compared with the loop over torch.fft that a user would write.

The loop is written well: complex throughout, one input product for all steps, unit vectors and diagonals made once a
forward pass, one output layer for all steps. Everyone trains one layer of N units as in recurrent.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from seqbench.bench.measure import device
from seqbench.bench.suite import Contestant, Suite
from seqbench.bench.suites.recurrent.recurrent import N_INPUTS, ours, peer
from seqbench.models.unitary.urnn import URNN

Step = Callable[[], None]


def urnn(form: str, backend: str) -> Callable[..., Step]:
    return ours(lambda N: URNN(N_INPUTS, N, form=form, backend=backend), torch.optim.RMSprop)


class UserLoop(nn.Module):
    """What a user would write, by the paper's equations. Inputs are one-hot (B, T, N_INPUTS)."""

    def __init__(self, N: int):
        super().__init__()
        self.input = nn.Linear(N_INPUTS, 2 * N, bias=False)
        self.theta = nn.Parameter(torch.empty(3, N).uniform_(-math.pi, math.pi))
        self.v = nn.Parameter(torch.randn(2, N, 2))
        self.bias = nn.Parameter(torch.zeros(N))
        self.start = nn.Parameter(torch.randn(N, 2) / math.sqrt(N))
        self.register_buffer("permutation", torch.randperm(N))

    def forward(self, x_BTD: Tensor) -> Tensor:
        v = torch.view_as_complex(self.v)
        u1, u2 = v / v.norm(dim=1, keepdim=True)
        d1, d2, d3 = torch.exp(1j * self.theta)
        h = torch.view_as_complex(self.start).expand(len(x_BTD), -1)
        outputs = []
        for x in torch.complex(*self.input(x_BTD).chunk(2, -1)).unbind(1):
            z = torch.fft.fft(h * d1, norm="ortho")
            z = z - 2 * torch.outer(z @ u1.conj(), u1)
            z = torch.fft.ifft(z[:, self.permutation] * d2, norm="ortho")
            z = (z - 2 * torch.outer(z @ u2.conj(), u2)) * d3 + x
            size = z.abs()
            h = z * (torch.relu(size + self.bias) / (size + 1e-5))
            outputs.append(h)
        h_BTN = torch.stack(outputs, 1)
        return torch.cat([h_BTN.real, h_BTN.imag], -1)


NATIVE = "native" if device().type == "cpu" else "auto"

SUITE = Suite(
    name="unitary",
    title="uRNN: one training step of the copy task",
    note="B sequences of T + 20 symbols, N complex units, float32; forward, backward and optimizer.",
    ours="seqbench",
    contestants=[
        Contestant("seqbench", urnn("auto", NATIVE)),
        Contestant("seqbench, W dense", urnn("dense", NATIVE)),
        Contestant("seqbench, reference", urnn("fft", "reference")),
        Contestant("user's loop, torch.fft", peer(UserLoop, planes=2)),
    ],
    shapes=[{"B": B, "N": N, "T": T} for B, N, T in [(20, 64, 100), (20, 128, 1000), (20, 512, 100), (128, 128, 200)]],
    n_tokens=lambda B, N, T: B * (T + 20),
)
