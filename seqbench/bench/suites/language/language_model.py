"""A language model's training step, compared with the model a user would write from torch's own modules.

Everyone trains N units on V words: embedding of width N, no dropout, B rows of T tokens with the state carried, full
softmax unless said otherwise; forward, backward, clipped SGD. Two layers of LSTM, or four of a gated CNN (kernel 4).
bf16 is torch's autocast on both sides.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from seqbench.bench.measure import device
from seqbench.bench.suite import Contestant, Suite
from seqbench.compiled import lacks_avx512
from seqbench.contracts.backbone import Backbone
from seqbench.contracts.batch import Batch
from seqbench.contracts.head import Head
from seqbench.contracts.pytree import detach
from seqbench.embeddings.learned import LearnedEmbedding
from seqbench.heads.adaptive import Adaptive
from seqbench.heads.softmax import Softmax
from seqbench.learners.network import Network
from seqbench.models.convolutional.gated_cnn import GatedCNN
from seqbench.models.recurrent.lstm import LSTM

CUTOFFS = [2000]
Step = Callable[[], None]


def tokens(B: int, T: int, V: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets (B, T), word w about as frequent as 1 / w."""
    generator = torch.Generator().manual_seed(0)
    ids = (V ** torch.rand(B, T + 1, generator=generator)).long().clamp_max(V - 1).to(device())
    return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def lstm(N: int) -> Backbone:
    return LSTM(N, N, n_layers=2)


def gated_cnn(N: int) -> Backbone:
    return GatedCNN(N, [[N, 4]] * 4)


def seqbench(
    head: Callable[[int, int], Head], bf16: bool = False, backbone: Callable[[int], Backbone] = lstm
) -> Callable[..., Step]:
    def build(B: int, T: int, N: int, V: int) -> Step:
        batch = Batch(*tokens(B, T, V))
        network = Network(LearnedEmbedding(V, N, None), backbone(N), head(N, V)).to(device())
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        state = None

        def step() -> None:
            nonlocal state
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device().type, torch.bfloat16, enabled=bf16):
                loss_sum, state, _ = network(batch, detach(state))
            (loss_sum / batch.count()).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 0.25)
            optimizer.step()

        return step

    return build


def users(adaptive: bool = False, bf16: bool = False) -> Callable[..., Step]:
    """torch.nn.Embedding, nn.LSTM, nn.Linear and the cross entropy, or torch's adaptive softmax."""

    def build(B: int, T: int, N: int, V: int) -> Step:
        inputs_BT, targets_BT = tokens(B, T, V)
        cutoffs = [cutoff for cutoff in CUTOFFS if cutoff < V] or [V // 2]
        output = nn.AdaptiveLogSoftmaxWithLoss(N, V, cutoffs) if adaptive else nn.Linear(N, V)
        model = nn.ModuleList([nn.Embedding(V, N), nn.LSTM(N, N, 2, batch_first=True), output]).to(device())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        state = None

        def step() -> None:
            nonlocal state
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(device().type, torch.bfloat16, enabled=bf16):
                embedding, lstm, out = model
                y_BTN, state = lstm(embedding(inputs_BT), None if state is None else tuple(s.detach() for s in state))
                y_MN = y_BTN.reshape(-1, N)
                loss = out(y_MN, targets_BT.flatten()).loss if adaptive else cross_entropy(out(y_MN), targets_BT)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            optimizer.step()

        return step

    return build


class UsersCNN(nn.Module):
    """Four residual layers of weight-normed nn.Conv1d and F.glu between an nn.Embedding and an nn.Linear; windows start
    cold, with zeros before them."""

    def __init__(self, N: int, V: int):
        super().__init__()
        self.embedding, self.output = nn.Embedding(V, N), nn.Linear(N, V)
        self.first = parametrizations.weight_norm(nn.Linear(N, N))
        self.layers = nn.ModuleList(parametrizations.weight_norm(nn.Conv1d(N, 2 * N, 4)) for _ in range(4))

    def forward(self, inputs_BT: Tensor) -> Tensor:
        x_BCT = self.first(self.embedding(inputs_BT)).transpose(1, 2)
        for layer in self.layers:
            x_BCT = x_BCT + F.glu(layer(F.pad(x_BCT, (3, 0))), 1)
        return self.output(x_BCT.transpose(1, 2)).flatten(0, 1)


def users_cnn(B: int, T: int, N: int, V: int) -> Step:
    inputs_BT, targets_BT = tokens(B, T, V)
    model = UsersCNN(N, V).to(device())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(model(inputs_BT), targets_BT).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()

    return step


def cross_entropy(logits_MV: Tensor, targets_BT: Tensor) -> Tensor:
    return F.cross_entropy(logits_MV.float(), targets_BT.flatten())


def chunked(N: int, V: int) -> Head:
    return Softmax(N, V, target_chunk=128)


def full(N: int, V: int) -> Head:
    return Softmax(N, V)


def adaptive(N: int, V: int) -> Head:
    return Adaptive(N, V, [cutoff for cutoff in CUTOFFS if cutoff < V] or [V // 2])


def in_half_precision() -> list[Contestant]:
    """None on a CPU without AVX-512, where torch's LSTM stops under autocast."""
    if device().type == "cpu" and lacks_avx512():
        return []
    return [
        Contestant("seqbench, bf16", seqbench(chunked, bf16=True)),
        Contestant("torch.nn.LSTM + cross entropy, bf16", users(bf16=True)),
    ]


SUITE = Suite(
    name="language_model",
    title="A language model's training step",
    note="B rows of T tokens, two LSTM layers of N units or four convolutional ones, V words; softmax by 128 targets "
    "at a time unless said otherwise.",
    ours="seqbench",
    contestants=[
        Contestant("seqbench", seqbench(chunked)),
        Contestant("torch.nn.LSTM + cross entropy", users()),
        Contestant("seqbench, plain softmax", seqbench(full)),
        *in_half_precision(),
        Contestant("seqbench, adaptive softmax", seqbench(adaptive)),
        Contestant("torch.nn.LSTM + torch's adaptive softmax", users(adaptive=True)),
        Contestant("seqbench, gated CNN", seqbench(chunked, backbone=gated_cnn)),
        Contestant("torch.nn.Conv1d + cross entropy", users_cnn),
    ],
    shapes=[{"B": 20, "T": 35, "N": 650, "V": 10_000}],
    n_tokens=lambda B, T, N, V: B * T,
)
