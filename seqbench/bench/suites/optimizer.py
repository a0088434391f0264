"""An optimizer's step alone, compared with other implementations and with the memory's own speed.

The weights are those of a Transformer with biases everywhere and one embedding for source, target and output (6 + 6
layers, D = 512 and V = 37,000: the base model of Vaswani et al. 2017, 63.1 M numbers in 253 tensors), or of an LSTM
language model (2 layers, D = 650 and V = 10,000: the medium one of Zaremba et al. 2014, 19.8 M numbers in 11).
All contestants update the same weights with the same gradients.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable

import torch
from torch import nn

from seqbench.bench.measure import device
from seqbench.bench.suite import Contestant, Suite
from seqbench.optim.adafactor import Adafactor

Step = Callable[[], None]


def _linear(d_from: int, d_to: int) -> list[tuple[int, ...]]:
    return [(d_to, d_from), (d_to,)]


def tensor_shapes(encoder: int, decoder: int, lstm: int, D: int, V: int) -> list[tuple[int, ...]]:
    """Of so many layers of each kind, an embedding, and for an LSTM an output layer."""
    attention, norm = 4 * _linear(D, D), [(D,), (D,)]
    feed_forward = _linear(D, 4 * D) + _linear(4 * D, D)
    return [
        (V, D),
        *encoder * (attention + feed_forward + 2 * norm),
        *decoder * (2 * attention + feed_forward + 3 * norm),
        *lstm * [(4 * D, D), (4 * D, D), (4 * D,), (4 * D,)],
        *(_linear(D, V) if lstm else []),
    ]


@functools.lru_cache(maxsize=1)
def weights(encoder: int, decoder: int, lstm: int, D: int, V: int) -> list[nn.Parameter]:
    """With gradients, in random directions and of several sizes."""
    torch.manual_seed(0)
    parameters = []
    for shape in tensor_shapes(encoder, decoder, lstm, D, V):
        weight = nn.Parameter(torch.randn(shape, device=device()).mul_(0.05))
        weight.grad = torch.randn_like(weight).mul_(1e-3 * 10 ** torch.rand(()).item())
        parameters.append(weight)
    return parameters


class Stepping:
    """An optimizer's step; its state exists before the first."""

    def __init__(self, optimizer: torch.optim.Optimizer):
        self.optimizer = optimizer
        optimizer.step()

    def __call__(self) -> None:
        self.optimizer.step()

    def state_bytes(self) -> int:
        tensors = [x for state in self.optimizer.state.values() for x in state.values() if isinstance(x, torch.Tensor)]
        return sum(x.numel() * x.element_size() for x in tensors)


def steps(make: Callable[..., torch.optim.Optimizer], **settings: object) -> Callable[..., Step]:
    def build(encoder: int, decoder: int, lstm: int, D: int, V: int) -> Step:
        return Stepping(make(weights(encoder, decoder, lstm, D, V), **settings))

    return build


def state_mib(step: Step) -> float:
    assert isinstance(step, Stepping)
    return step.state_bytes() / 2**20


def floor(encoder: int, decoder: int, lstm: int, D: int, V: int) -> Step:
    """Three reads of every gradient, a read and a write of every weight. The weights stay what they are."""
    detached = [weight.detach() for weight in weights(encoder, decoder, lstm, D, V)]
    grads = [weight.grad for weight in weights(encoder, decoder, lstm, D, V) if weight.grad is not None]

    def step() -> None:
        for weight, grad in zip(detached, grads, strict=True):
            for _ in range(3):
                grad.sum()
            weight.mul_(1.0)

    return step


def contestant(name: str, make: Callable[..., torch.optim.Optimizer], **settings: object) -> Contestant:
    return Contestant(name, steps(make, **settings), state_mib=state_mib)


CONTESTANTS = [
    contestant("seqbench Adafactor", Adafactor, backend="native" if device().type == "cpu" else "auto"),
    contestant("seqbench Adafactor, reference", Adafactor, backend="reference"),
    contestant("torch Adafactor, foreach", torch.optim.Adafactor, foreach=True),
    contestant("torch Adafactor", torch.optim.Adafactor, foreach=False),
    contestant("torch Adam, fused", torch.optim.Adam, fused=True, lr=1e-6),
    contestant("torch AdamW, fused", torch.optim.AdamW, fused=True, lr=1e-6),
    Contestant("floor: 20 bytes a number", floor, trains=False),
]
if importlib.util.find_spec("transformers"):

    def transformers_adafactor(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return importlib.import_module("transformers.optimization").Adafactor(parameters)

    CONTESTANTS.insert(4, contestant("transformers Adafactor", transformers_adafactor))

SUITE = Suite(
    name="optimizer",
    title="Optimizers: a step, given the gradients",
    note="Weights of a Transformer of so many encoder and decoder layers and a shared embedding, or of an LSTM "
    "language model, of width D, with V words; float32. torch's Adafactor has another rule for its step size.",
    ours="seqbench Adafactor",
    contestants=CONTESTANTS,
    shapes=[
        {"encoder": 6, "decoder": 6, "lstm": 0, "D": 512, "V": 37_000},
        {"encoder": 0, "decoder": 0, "lstm": 2, "D": 650, "V": 10_000},
    ],
    n_tokens=lambda encoder, decoder, lstm, D, V: sum(
        torch.Size(shape).numel() for shape in tensor_shapes(encoder, decoder, lstm, D, V)
    ),
    counts="numbers",
    smaller={"D": 8, "V": 10},
)
