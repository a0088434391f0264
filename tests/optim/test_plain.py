"""LSTM and GRU as loops over linear maps are torch's, and the compiled ones stay out."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from seqbench.models.recurrent.lstm import LSTM
from seqbench.models.unitary.scornn import SCORNN
from seqbench.optim.plain import unfused


class Count(TorchFunctionMode):
    def __init__(self):
        super().__init__()
        self.n_linear, self.n_fused = 0, 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.n_linear += func is functional.linear
        self.n_fused += func in (torch.lstm, torch.gru)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU])
def test_a_layer_is_torchs(cls, batch_first):
    torch.manual_seed(0)
    layer, x = cls(3, 4, batch_first=batch_first).double(), torch.randn(2, 2, 3, dtype=torch.float64)
    state = torch.randn(1, 2, 4, dtype=torch.float64)
    state = (state, state.tanh()) if cls is nn.LSTM else state
    with Count() as count, unfused():
        y, last = layer(x, state)
    assert (count.n_linear, count.n_fused) == (3, 0)  # of all inputs, and of the state at two steps
    expected, expected_last = layer(x, state)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(last, expected_last)


@pytest.mark.parametrize("settings", [{"bidirectional": True}, {"num_layers": 2}, {"bias": False}])
def test_other_layers_stay_as_they_are(settings):
    with Count() as count, unfused():
        nn.LSTM(3, 4, **settings)(torch.randn(2, 5, 3))
    assert (count.n_linear, count.n_fused) == (0, 1)


@pytest.mark.parametrize("make", [lambda: LSTM(3, 4, backend="native"), lambda: SCORNN(3, 4, 2, backend="native")])
def test_whatever_the_backend_nothing_compiled_runs(make):
    """Compiled code goes back once; torch's own operations any number of times."""
    torch.manual_seed(0)
    model, x = make(), torch.randn(2, 6, 3, requires_grad=True)
    with unfused():
        (gradient,) = torch.autograd.grad(model(x)[0].square().sum(), x, create_graph=True)
    gradient.sum().backward()
    torch.testing.assert_close(torch.autograd.grad(model(x)[0].square().sum(), x)[0], gradient.detach())
