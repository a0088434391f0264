"""Output layers alone: from N features of width D to the summed loss over V words and back to every gradient."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.bench.measure import device
from seqbench.bench.suite import Contestant, Suite
from seqbench.bench.suites.language.language_model import tokens
from seqbench.contracts.head import Head
from seqbench.heads.adaptive import Adaptive
from seqbench.heads.softmax import Softmax

Step = Callable[[], None]


def problem(N: int, D: int, V: int) -> tuple[Tensor, Tensor]:
    """Features, which need a gradient, and Zipf-like targets."""
    generator = torch.Generator().manual_seed(0)
    h_ND = torch.randn(N, D, generator=generator).to(device()).requires_grad_()
    return h_ND, tokens(1, N, V)[1].flatten()


def ours(head: Callable[[int, int], Head]) -> Callable[..., Step]:
    def build(N: int, D: int, V: int) -> Step:
        (h_ND, target_N), layer = problem(N, D, V), head(D, V).to(device())

        def step() -> None:
            layer.zero_grad(set_to_none=True)
            layer.losses(h_ND if layer.readout is None else layer.readout(h_ND), target_N).sum().backward()

        return step

    return build


def linear_and_cross_entropy(N: int, D: int, V: int) -> Step:
    (h_ND, target_N), layer = problem(N, D, V), nn.Linear(D, V).to(device())

    def step() -> None:
        layer.zero_grad(set_to_none=True)
        F.cross_entropy(layer(h_ND), target_N, reduction="sum").backward()

    return step


def torch_adaptive(N: int, D: int, V: int) -> Step:
    (h_ND, target_N), layer = problem(N, D, V), nn.AdaptiveLogSoftmaxWithLoss(D, V, bands(V)).to(device())

    def step() -> None:
        layer.zero_grad(set_to_none=True)
        (-layer(h_ND, target_N).output.sum()).backward()

    return step


def bands(V: int) -> list[int]:
    return [cutoff for cutoff in (2_000, 10_000, 100_000) if cutoff < V]


SUITE = Suite(
    name="output_layer",
    title="Output layers, forward and backward",
    note="N features of width D, V words, float32. The chunked ones are exact; the adaptive softmax is another model.",
    ours="seqbench, 1,024 words at a time",
    contestants=[
        Contestant("seqbench, 1,024 words at a time", ours(lambda D, V: Softmax(D, V, vocab_chunk=1024))),
        Contestant("seqbench, 256 targets at a time", ours(lambda D, V: Softmax(D, V, target_chunk=256))),
        Contestant("nn.Linear + cross entropy", linear_and_cross_entropy),
        Contestant("seqbench, adaptive", ours(lambda D, V: Adaptive(D, V, bands(V)))),
        Contestant("nn.AdaptiveLogSoftmaxWithLoss", torch_adaptive),
    ],
    shapes=[
        {"N": 512, "D": 512, "V": 33_278},
        {"N": 256, "D": 512, "V": 267_735},
        {"N": 700, "D": 650, "V": 10_000},
    ],
    n_tokens=lambda N, D, V: N,
    smaller={"N": 2},
)
