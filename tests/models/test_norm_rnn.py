"""RNN and GRU with norms at chosen places, against torch's, and against torch's layer norm and their algebra."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seqbench.checks.models import features
from seqbench.contracts.peers import Alone
from seqbench.models.cells.norm.assorted_time_norm import AssortedTimeNorm
from seqbench.models.cells.norm.batch_norm import BatchNorm
from seqbench.models.cells.norm.layer_norm import LayerNorm
from seqbench.models.cells.norm.none import NoNorm
from seqbench.models.recurrent.norm_gru import NormGRU
from seqbench.models.recurrent.norm_rnn import NormRNN

D, N, B, T = 3, 7, 5, 9
MODELS = pytest.mark.parametrize("cls", [NormRNN, NormGRU])


def model(cls, norm, *places, **settings):
    """One whose every parameter is drawn."""
    torch.manual_seed(0)
    made = cls(D, N, norm, *places, **settings).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.rand_like(parameter))
    return made


@pytest.mark.parametrize(("cls", "oracle"), [(NormRNN, nn.RNN), (NormGRU, nn.GRU)])
def test_without_norm_it_is_torchs(cls, oracle):
    backbone = model(cls, NoNorm, (), ("input", "hidden"), n_layers=2)
    oracle = oracle(D, N, num_layers=2, batch_first=True).double()
    with torch.no_grad():
        for index, layer in enumerate(backbone.layers):
            getattr(oracle, f"weight_ih_l{index}").copy_(layer.weight_input.T)
            getattr(oracle, f"weight_hh_l{index}").copy_(layer.weight_hidden.T)
            getattr(oracle, f"bias_ih_l{index}").copy_(layer.biases["input"])
            getattr(oracle, f"bias_hh_l{index}").copy_(layer.biases["hidden"])
    y_BTD, (states, t_B), _ = backbone(features(D, B, T))
    last_LBH = torch.stack([h_BH for h_BH, _ in states])
    torch.testing.assert_close((y_BTD, last_LBH), oracle(features(D, B, T)), rtol=1e-12, atol=1e-13)
    assert t_B.tolist() == [T] * B


def layer_norm(x, norm):
    return F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias)


@pytest.mark.parametrize("norms", [("input", "hidden"), ("sum",)])
def test_an_rnn_with_torchs_layer_norm(norms):
    backbone, x_BTD = model(NormRNN, LayerNorm, norms), features(D, B, T)
    (layer,) = backbone.layers
    h, outputs = torch.zeros(B, N).double(), []
    for x in x_BTD.unbind(1):
        a, b = h @ layer.weight_hidden, x @ layer.weight_input
        if norms == ("sum",):
            s = layer_norm(a + b, layer.norm("sum"))
        else:
            s = layer_norm(a, layer.norm("hidden")) + layer_norm(b, layer.norm("input"))
        h = (s + layer.biases["sum"]).tanh()
        outputs.append(h)
    torch.testing.assert_close(backbone(x_BTD)[0], torch.stack(outputs, 1), rtol=1e-11, atol=1e-12)


def test_a_gru_has_a_norm_of_its_gates_and_one_of_its_candidate():
    backbone, x_BTD = model(NormGRU, LayerNorm), features(D, B, T)
    (layer,) = backbone.layers
    of_hidden, of_input = layer.norm("hidden"), layer.norm("input")
    h, outputs = torch.zeros(B, N).double(), []
    for x in x_BTD.unbind(1):
        (a_gates, a_n), (b_gates, b_n), (c_gates, c_n) = (
            z.split((2 * N, N), -1) for z in (h @ layer.weight_hidden, x @ layer.weight_input, layer.biases["sum"])
        )
        gates = layer_norm(a_gates, of_hidden.gates) + layer_norm(b_gates, of_input.gates) + c_gates
        r, z = gates.sigmoid().chunk(2, -1)
        n = (layer_norm(b_n, of_input.candidate) + r * layer_norm(a_n, of_hidden.candidate) + c_n).tanh()
        h = (1 - z) * n + z * h
        outputs.append(h)
    torch.testing.assert_close(backbone(x_BTD)[0], torch.stack(outputs, 1), rtol=1e-11, atol=1e-12)


@MODELS
def test_a_window_of_one_step_is_layer_normalisation(cls):
    found, expected = (
        model(cls, norm)(features(D, B, T))[0] for norm in (functools.partial(AssortedTimeNorm, k=1), LayerNorm)
    )
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


@MODELS
@pytest.mark.parametrize("size", [1, 7, T])
def test_evaluation_in_pieces_goes_on_with_the_window(cls, size):
    backbone, x_BTD = model(cls, functools.partial(AssortedTimeNorm, k=4), n_layers=2).eval(), features(D, B, T)
    state, outputs = None, []
    for piece_BTD in x_BTD.split(size, 1):
        y_BTD, state, _ = backbone(piece_BTD, state)
        outputs.append(y_BTD)
    torch.testing.assert_close(torch.cat(outputs, 1), backbone(x_BTD)[0], rtol=1e-12, atol=1e-13)


@MODELS
def test_a_population_of_one_batch_is_that_batch(cls):
    backbone, x_BTD = model(cls, functools.partial(BatchNorm, n_steps=T), ("input",), n_layers=2), features(D, B, T)
    assert backbone.couples_rows
    y_BTD = backbone(x_BTD)[0]
    backbone.prepare_evaluation((backbone(x_BTD) and None for _ in range(1)), Alone())
    torch.testing.assert_close(backbone.eval()(x_BTD)[0], y_BTD, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(backbone(x_BTD[:1])[0], y_BTD[:1], rtol=1e-12, atol=1e-13)


@MODELS
def test_gradients_are_those_of_finite_differences(cls):
    backbone = model(cls, functools.partial(AssortedTimeNorm, k=3))
    assert torch.autograd.gradcheck(lambda x_BTD: backbone(x_BTD)[0], (features(D, 2, 4).requires_grad_(),))
