"""The contracts of embeddings and norms, of every file of conf/; and of parts that break theirs, which is noticed."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seqbench.checks import embeddings, heads, norms, quantizers
from seqbench.config.compose import composed
from seqbench.config.nodes import options
from seqbench.config.targets import class_at
from seqbench.contracts.embedding import Embedding
from seqbench.contracts.head import Head
from seqbench.contracts.norm import Norm, Steps
from seqbench.contracts.quantizer import Quantizer
from seqbench.engine.assemble import instantiate

SETTINGS = {"adaptive": ["embedding.cutoffs=[4,8]", "embedding.d_embed=16"]}


@pytest.mark.parametrize("name", options("embedding"))
def test_contract_of_an_embedding(name):
    node = composed([f"embedding={name}", *SETTINGS.get(name, [])]).embedding
    for check in embeddings.checks(functools.partial(instantiate, "embedding", node)).values():
        check()


@pytest.mark.parametrize("name", options("norm"))
def test_contract_of_a_norm(name):
    node = composed(["model=bn_lstm", f"norm@model.norm={name}"]).model["norm"]
    assert class_at("norm", node["_target_"])
    for check in norms.checks(functools.partial(instantiate, "norm", node)).values():
        check()


@pytest.mark.parametrize("scale", ["one", "row", "tensor"])
@pytest.mark.parametrize("name", options("quantizer"))
def test_contract_of_a_quantizer(name, scale):
    node = composed(["model=quantized_lstm", f"quantizer@model.weights={name}"]).model["weights"]
    node = {**node, "scale": scale} if "scale" in node else node
    for check in quantizers.checks(functools.partial(instantiate, "quantizer", node)).values():
        check()


class Table(Embedding):
    def __init__(self, n_tokens, n_features, fault):
        super().__init__()
        self.table, self.fault = nn.Parameter(torch.randn(n_tokens, 4)), fault
        self.d_output = 5 if fault == "width" else 4
        self.dense = fault != "sparse"

    def forward(self, inputs):
        x_BTD = F.embedding(inputs, self.table)
        return x_BTD - x_BTD.mean(1, keepdim=True) if self.fault == "centred" else x_BTD


class Scale(Norm):
    def __init__(self, d_input, fault):
        super().__init__()
        self.fault = fault

    def forward(self, x):
        if self.fault == "flat":
            return x.flatten(0, -2)
        axes = tuple(range(x.dim() - 1)) if self.fault == "batch" else -1
        return x / x.norm(dim=axes, keepdim=True)


class Rounded(Quantizer):
    bits = 2

    def __init__(self, fault):
        super().__init__()
        self.fault = fault

    def forward(self, x):
        if self.fault == "halved":
            return (x / 2).round()
        if self.fault == "levels":
            return x + (x.round() - x).detach()
        if self.fault == "positions":
            x = x - x.mean()
        if self.fault == "drawn":
            x = x + torch.rand_like(x)
        y = x.round().clamp(-1, 1)
        return y if self.fault == "rounded" else x * 2 + (y - x * 2).detach()


class Sum(Norm):
    """Of a row's features so far, wrong in one way."""

    reads = "past"

    def __init__(self, d_input, fault):
        super().__init__()
        self.fault = fault

    def forward(self, x):
        return self.over_time(x, Steps(), None)[0]

    def over_time(self, x_TBD, steps, memory):
        sum_TBD = x_TBD.cumsum(0) if memory is None or self.fault == "memory" else memory + x_TBD.cumsum(0)
        y_TBD = sum_TBD + sum_TBD.mean(1, keepdim=True) if self.fault == "rows" else sum_TBD
        return y_TBD, sum_TBD[-1]


class Logits(Head):
    def __init__(self, d_input, n_outputs, fault):
        super().__init__()
        self.linear, self.fault = nn.Linear(d_input, n_outputs), fault
        self.idle = nn.Parameter(torch.ones(2)) if fault == "idle" else None

    def losses(self, z, target):
        losses_N = F.cross_entropy(self.linear(z), target, reduction="none")
        return losses_N / len(losses_N) if self.fault == "mean" else losses_N

    def log_probs(self, z):
        return self.linear(z) if self.fault == "logits" else F.log_softmax(self.linear(z) * 2, -1)


FAULTS = [
    (embeddings, Table, "width", "features", r"the features' shape is \(3, 7, 4\), not \(3, 7, 5\)"),
    (embeddings, Table, "sparse", "features", "it is not dense, and changes its input"),
    (
        embeddings,
        Table,
        "centred",
        "independent positions",
        "a position's features depend on other positions: they are",
    ),
    (norms, Scale, "flat", "shape", r"\(3, 7, 6\) becomes \(21, 6\)"),
    (norms, Scale, "batch", "independent positions", "a position depends on others, or on another row: they are up to"),
    (quantizers, Rounded, "levels", "levels", "levels are more than 2 bits tell apart"),
    (quantizers, Rounded, "halved", "idempotence", "quantised again, a level becomes another: they are up to"),
    (
        quantizers,
        Rounded,
        "positions",
        "independent positions",
        "a position depends on others, or on another row: they",
    ),
    (quantizers, Rounded, "drawn", "evaluation draws nothing", "the same numbers give other levels"),
    (quantizers, Rounded, "doubled", "gradient", "a gradient is neither 0 nor 1"),
    (quantizers, Rounded, "rounded", "gradient", "small numbers have no gradient"),
    (norms, Sum, "memory", "independent positions", "a position depends on others than the memory speaks for: they"),
    (norms, Sum, "rows", "independent positions", "a row depends on another one: they are up to"),
    (heads, Logits, "mean", "losses of classes", "a target's loss depends on the targets beside it: they are up to"),
    (heads, Logits, "idle", "losses of classes", "idle has no gradient"),
    (heads, Logits, "logits", "distribution", "the probabilities do not add up to 1: they are up to"),
    (heads, Logits, "sharpened", "distribution", "the loss of class 0 is not its negative log-probability: they are"),
]


@pytest.mark.parametrize(("kind", "cls", "fault", "name", "sentence"), FAULTS, ids=[row[2] for row in FAULTS])
def test_a_fault_is_noticed(kind, cls, fault, name, sentence):
    with pytest.raises(AssertionError, match=sentence):
        kind.checks(functools.partial(cls, fault=fault))[name]()
