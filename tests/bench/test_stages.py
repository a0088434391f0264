"""Every stage of the LSTM computes what torch's layer does, outputs and gradients, in float64."""

import functools

import pytest
import torch
from torch import nn

from seqbench.bench.suites.recurrent import stages

COMPILES = [name for name in stages.STAGES if name not in ("separate", "grouped", "torch.nn.LSTM")]


def run(name: str) -> list[torch.Tensor]:
    """Outputs and gradients of one layer."""
    torch.manual_seed(0)
    layer = nn.LSTM(5, 6).double()
    x_TBD = torch.randn(11, 3, 5, dtype=torch.float64, requires_grad=True)
    y_TBH = stages.STAGES[name](x_TBD, layer)
    (y_TBH * torch.arange(11.0, dtype=torch.float64)[:, None, None]).sum().backward()
    gradients = [tensor.grad for tensor in (x_TBD, *layer.parameters())]
    return [y_TBH, *[gradient for gradient in gradients if gradient is not None]]


@pytest.mark.parametrize("name", stages.STAGES)
def test_a_stage_is_torchs_lstm(name, monkeypatch):
    monkeypatch.setattr(stages, "compiled", functools.cache(lambda function: function))  # which takes many seconds
    _compare(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILES)
def test_a_compiled_stage_is_torchs_lstm(name):
    _compare(name)


def _compare(name: str) -> None:
    for ours, theirs in zip(run(name), run("torch.nn.LSTM"), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
