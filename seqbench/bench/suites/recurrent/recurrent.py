"""scoRNN's training step on the copy task, compared with what a user would write or pick instead.

Everyone trains one layer of N units on the same batch: B sequences of T + 20 symbols, one-hot of 10, 9 classes, loss on
every step; forward, backward, optimizer. The peers are written well: inputs unbound once instead of indexed, the
orthogonal matrix made once a forward pass.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from seqbench.bench.measure import device
from seqbench.bench.suite import Contestant, Suite
from seqbench.contracts.backbone import Backbone
from seqbench.contracts.batch import Batch
from seqbench.embeddings.one_hot import OneHot
from seqbench.heads.softmax import Softmax
from seqbench.learners.network import Network
from seqbench.models.unitary.scornn import SCORNN
from seqbench.optim.rmsprop import RMSpropTF

N_INPUTS, N_CLASSES = 10, 9
Step = Callable[[], None]


def batch(B: int, T: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    inputs_BT = torch.randint(0, N_INPUTS, (B, T + 20), generator=generator).to(device())
    return Batch(inputs_BT, torch.randint(0, N_CLASSES, (B, T + 20), generator=generator).to(device()))


def ours(make: Callable[[int], Backbone], optimizer: Callable[..., torch.optim.Optimizer]) -> Callable[..., Step]:
    """`make` builds the layer of N units."""

    def build(B: int, N: int, T: int) -> Step:
        data, backbone = batch(B, T), make(N)
        network = Network(OneHot(None, backbone.d_output), backbone, Softmax(backbone.d_output, N_CLASSES)).to(device())
        updates = optimizer(network.parameters(), lr=1e-4)

        def step() -> None:
            updates.zero_grad(set_to_none=True)
            (network(data)[0] / data.count()).backward()
            updates.step()

        return step

    return build


def scornn(backend: str) -> Callable[..., Step]:
    return ours(lambda N: SCORNN(N_INPUTS, hidden_size=N, n_negative=N // 2, backend=backend), RMSpropTF)


class UserCell(nn.Module):
    """What a user would write: a cell with torch's (or geotorch's) orthogonal parametrisation, called step by step."""

    def __init__(self, N: int, orthogonal: Callable[[nn.Linear], None]):
        super().__init__()
        self.input, self.recurrent = nn.Linear(N_INPUTS, N, bias=False), nn.Linear(N, N, bias=False)
        orthogonal(self.recurrent)
        self.bias = nn.Parameter(torch.zeros(N))

    def forward(self, x_BD: Tensor, h_BN: Tensor) -> Tensor:
        return self.activate(self.input(x_BD) + self.recurrent(h_BN))

    def activate(self, z_BN: Tensor) -> Tensor:
        return z_BN.sign() * F.relu(z_BN.abs() + self.bias)


class UserLoop(nn.Module):
    """The loop over a cell. `hoisted`: by a user who knows that one input product for all steps is cheaper."""

    def __init__(self, cell: UserCell, hoisted: bool):
        super().__init__()
        self.cell, self.hoisted = cell, hoisted

    def forward(self, x_BTD: Tensor) -> Tensor:
        cell, outputs = self.cell, []
        h = x_BTD.new_zeros(len(x_BTD), len(cell.bias))
        with parametrize.cached():
            for x in (cell.input(x_BTD) if self.hoisted else x_BTD).unbind(1):
                h = cell.activate(x + cell.recurrent(h)) if self.hoisted else cell(x, h)
                outputs.append(h)
        return torch.stack(outputs, 1)


def with_torch(layer: nn.Linear) -> None:
    parametrizations.orthogonal(layer, orthogonal_map="cayley")


def with_geotorch(layer: nn.Linear) -> None:
    geotorch = importlib.import_module("geotorch")
    geotorch.orthogonal(layer, triv="cayley")


class TorchRecurrence(nn.Module):
    def __init__(self, layer: nn.RNNBase):
        super().__init__()
        self.layer = layer

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.layer(x_BTD)[0]


def peer(make: Callable[[int], nn.Module], planes: int = 1) -> Callable[..., Step]:
    """`make` builds the layer of N units, which gives `planes` * N numbers a step."""

    def build(B: int, N: int, T: int) -> Step:
        data = batch(B, T)
        network = nn.Sequential(make(N), nn.Linear(planes * N, N_CLASSES)).to(device())
        optimizer = torch.optim.RMSprop(network.parameters(), lr=1e-4)

        def step() -> None:
            optimizer.zero_grad(set_to_none=True)
            z_BTC = network(F.one_hot(data.inputs, N_INPUTS).float())
            F.cross_entropy(z_BTC.flatten(0, 1), data.targets.flatten()).backward()
            optimizer.step()

        return step

    return build


def floor(B: int, N: int, T: int) -> Step:
    """The arithmetic of the recurrence alone: h W and its adjoint at every step, the gradient of W as one product."""
    h, w = torch.randn(B, N, device=device()), torch.randn(N, N, device=device())
    many, more, out = torch.randn(B * (T + 20), N, device=device()), torch.randn(B * (T + 20), N), torch.empty_like(h)
    more = more.to(device())

    def step() -> None:
        for _ in range(2 * (T + 20)):
            torch.mm(h, w, out=out)
        torch.mm(many.T, more)

    return step


def user(orthogonal: Callable[[nn.Linear], None], hoisted: bool = False) -> Callable[..., Step]:
    return peer(lambda N: UserLoop(UserCell(N, orthogonal), hoisted))


def fused(layer: Callable[..., nn.RNNBase], **settings: str) -> Callable[..., Step]:
    return peer(lambda N: TorchRecurrence(layer(N_INPUTS, N, batch_first=True, **settings)))


CONTESTANTS = [
    Contestant("seqbench", scornn("native" if device().type == "cpu" else "auto")),
    Contestant("seqbench, reference", scornn("reference")),
    Contestant("user's loop, torch's orthogonal cell", user(with_torch)),
    Contestant("user's loop, input product hoisted", user(with_torch, hoisted=True)),
    Contestant("torch.nn.RNN (relu)", fused(nn.RNN, nonlinearity="relu")),
    Contestant("torch.nn.LSTM", fused(nn.LSTM)),
    Contestant("floor: three matrix products", floor, trains=False),
]
if importlib.util.find_spec("geotorch"):
    CONTESTANTS.insert(3, Contestant("user's loop, geotorch's orthogonal cell", user(with_geotorch)))

SUITE = Suite(
    name="recurrent",
    title="scoRNN: one training step of the copy task",
    note="B sequences of T + 20 symbols, N units, float32; forward, backward and optimizer.",
    ours="seqbench",
    contestants=CONTESTANTS,
    shapes=[
        *[{"B": B, "N": N, "T": 1000} for B, N in [(20, 190), (128, 190), (128, 512)]],
        *[{"B": 128, "N": 190, "T": T} for T in (200, 2000)],
    ],
    n_tokens=lambda B, N, T: B * (T + 20),
)
