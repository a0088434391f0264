"""The contract of every head of conf/head. A new one is a row of HEADS."""

import pytest
import torch

from seqbench.checks.heads import check_after_step, check_distribution, check_losses
from seqbench.config.compose import composed
from seqbench.config.nodes import options
from seqbench.engine.assemble import instantiate

D, K, N = 8, 12, 5
HEADS = {  # settings beside the YAML's, and the number of outputs
    "softmax": ([], K),
    "focal": ([], K),
    "hebbian": ([], K),
    "adaptive": (["head.cutoffs=[4,8]", "head.div_value=2.0"], K),
    "squared_error": ([], 2),
    "sigmoid": ([], 3),
    "mixture": (["head.n_components=4"], 3),
    "squared_hinge": ([], K),
    "direct": ([], D),
    "direct_bits": ([], D),
}


def head(name):
    settings, n_outputs = HEADS[name]
    torch.manual_seed(0)
    node = composed([f"head={name}", *settings]).head
    return instantiate("head", node, d_input=D, n_outputs=n_outputs, embedding=None).double()


def data(name):
    draw = torch.Generator().manual_seed(1)
    y_ND = torch.randn(N, D, generator=draw, dtype=torch.float64)
    if name in ("squared_error", "mixture", "direct"):
        return y_ND, torch.randn(N, HEADS[name][1], generator=draw, dtype=torch.float64)
    if name in ("sigmoid", "direct_bits"):
        return y_ND, torch.randint(0, 2, (N, HEADS[name][1]), generator=draw).double()
    return y_ND, torch.randint(0, K, (N,), generator=draw)


def test_every_head_has_a_row():
    assert set(options("head")) == set(HEADS)


@pytest.mark.parametrize("name", HEADS)
def test_contract(name):
    check_losses(head(name), *data(name))
    check_distribution(head(name), data(name)[0], HEADS[name][1])
    check_after_step(head(name))
