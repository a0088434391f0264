"""The binarised MLP against its definition by torch's batch norm; rates, clipping, packed weights, shift norms."""

import functools
import math

import pytest
import torch
import torch.nn.functional as F

from seqbench.checks.models import features
from seqbench.contracts.batch import Batch
from seqbench.contracts.norm import Steps
from seqbench.contracts.peers import Alone
from seqbench.embeddings.one_hot import OneHot
from seqbench.heads.squared_hinge import SquaredHinge
from seqbench.learners.network import Network
from seqbench.models.cells.norm.batch_norm import BatchNorm
from seqbench.models.cells.norm.layer_norm import LayerNorm
from seqbench.models.cells.norm.none import NoNorm
from seqbench.models.cells.norm.shift_batch_norm import ShiftBatchNorm
from seqbench.models.cells.quantizer.binary import Binary
from seqbench.models.cells.quantizer.power_of_two import power_of_two
from seqbench.models.cells.quantizer.real import Real
from seqbench.models.cells.quantizer.uniform import Uniform
from seqbench.models.cells.time_loop import packed
from seqbench.models.other.quantized_mlp import QuantizedMLP
from seqbench.models.recurrent.norm_lstm import NormLSTM

D, B = 6, 40
one_step = functools.partial(BatchNorm, n_steps=1, gain=1.0, eps=1e-4)


def model(norm=one_step, weights=Binary, activations=Binary, sizes=(70, 9, 4), **settings):
    torch.manual_seed(0)
    made = QuantizedMLP(D, sizes, norm, weights, activations, **settings).double()
    with torch.no_grad():
        for bias in made.biases:
            bias.normal_()
    return made


@pytest.mark.parametrize("ends_real", [False, True])
def test_the_definition(ends_real):
    made, x = model(ends_real=ends_real), features(D, B, 1)
    h = x[:, 0]
    for index, (layer, norm, bias) in enumerate(zip(made.layers, made.norms, made.biases, strict=True)):
        z = F.batch_norm(
            h @ torch.where(layer.weight >= 0, 1.0, -1.0).double().T, None, None, norm.gain, bias, True, 0, 1e-4
        )
        h = z if ends_real and index == 2 else torch.where(z >= 0, 1.0, -1.0).double()
    torch.testing.assert_close(made(x)[0][:, 0], h)


def test_in_real_numbers_it_has_hard_tanh_units():
    made, x = model(weights=Real, activations=Real), features(D, B, 1)
    h = x[:, 0]
    for layer, norm, bias in zip(made.layers, made.norms, made.biases, strict=True):
        h = F.hardtanh(F.batch_norm(h @ layer.weight.T, None, None, norm.gain, bias, True, 0, 1e-4))
    assert (h.abs() == 1).any()
    torch.testing.assert_close(made(x)[0][:, 0], h)


def test_the_gradient_of_binary_weights_is_that_of_the_real_ones():
    made, x = model(activations=Real, ends_real=True), features(D, B, 1)
    weight = made.layers[0].weight
    (made(x)[0] * features(4, B, 1)).sum().backward()
    as_real = model(activations=Real, ends_real=True)
    as_real.quantize_weights = Real()
    with torch.no_grad():
        for layer in as_real.layers:
            layer.weight.copy_(torch.where(layer.weight >= 0, 1.0, -1.0))
    (as_real(x)[0] * features(4, B, 1)).sum().backward()
    torch.testing.assert_close(weight.grad, as_real.layers[0].weight.grad)


def test_rates_and_clipping():
    made = model(sizes=(4096, 10))
    scales = [group.lr_scale for group in made.parameter_groups().values()]
    assert scales == pytest.approx([math.sqrt((D + 4096) / 1.5), math.sqrt(4106 / 1.5)])
    assert model(glorot_rates=False).parameter_groups() == {}
    with torch.no_grad():
        for weight, _ in made.quantized():
            weight.mul_(3)
    made.after_step(Alone())
    assert made.layers[0].weight.abs().max() == 1 and (made.layers[0].weight.abs() < 1).any()
    assert model(init_range=0.1).layers[0].weight.abs().max() <= 0.1


def test_dropout_acts_on_activations_in_training():
    made, x = model(dropout=0.5), features(D, B, 1)
    torch.manual_seed(0)
    assert made(x)[0].unique().tolist() == [-2, 0, 2]
    made.eval()
    assert made(x)[0].unique().tolist() == [-1, 1]


def test_evaluation_has_the_populations_statistics():
    made = model(ends_real=True)
    network = Network(OneHot(None, D), made, SquaredHinge(4, 4, linear=False), pool="last").double()
    x = features(D, B, 1)
    batches = [Batch(x, torch.zeros(B, dtype=torch.long))] * 3
    network.prepare_evaluation(iter(batches), Alone())
    expected = made.train()(x)[0]
    torch.testing.assert_close(made.eval()(x)[0], expected)


@pytest.mark.skipif(packed.library() is None, reason="no C++ compiler")
@pytest.mark.parametrize(("weights", "activations"), [(Binary, Binary), (Uniform, Uniform)])
@torch.no_grad()
def test_packed_is_the_reference(weights, activations):
    made, x = model(weights=weights, activations=activations, ends_real=True).eval(), features(D, B, 2)
    made.backend = "packed"
    y = made(x)[0]
    made.backend = "reference"
    torch.testing.assert_close(y, made(x)[0])
    made.layers[1].weight.mul_(-1)
    expected = made(x)[0]
    made.backend = "auto"
    assert not torch.allclose(made(x)[0], y)
    torch.testing.assert_close(made(x)[0], expected)


def test_norms_without_statistics_couple_no_rows():
    for norm, couples in ((one_step, True), (NoNorm, False), (LayerNorm, False)):
        made = model(norm)
        assert made.couples_rows == made.reads_valid == couples
        assert made(features(D, B, 1))[0].shape == (B, 1, 4)


def shift_norm(x, gain, eps=1e-4):
    d = x - x.mean(0)
    v = (d * power_of_two(d)).mean(0)
    return power_of_two(gain) * d * power_of_two((v + eps).rsqrt())


def test_shift_batch_norm_is_its_formula():
    norm, x = ShiftBatchNorm(D, n_steps=1, gain=0.6, eps=1e-4).double(), features(D, B, 1).transpose(0, 1)
    torch.testing.assert_close(norm(x)[0], shift_norm(x[0], torch.tensor(0.6).double()))
    valid = torch.arange(B)[None] < 25
    y_TBD, _ = norm.over_time(x, Steps(0, valid), None)
    torch.testing.assert_close(y_TBD[0, :25], shift_norm(x[0, :25], torch.tensor(0.6).double()))
    _, v_1D = norm._moments(x, Steps())
    d = x - x.mean(1)
    torch.testing.assert_close(v_1D, (d * power_of_two(d)).mean(1))
    norm.begin_estimate()
    norm(x)
    norm.end_estimate()
    torch.testing.assert_close(norm.eval()(x), norm.train()(x))
    plain = BatchNorm(D, n_steps=1, gain=0.5, eps=1e-4).double()(x)
    ratio = (ShiftBatchNorm(D, n_steps=1, gain=0.5, eps=1e-4).double()(x) / plain).log2()
    assert ratio.abs().max() < 0.8  # two roundings to powers of two, of half a power each, and what v is off by


def test_shift_batch_norm_is_not_taken_for_batch_norm():
    """The compiled loop of normalised LSTMs has that one alone."""
    made = NormLSTM(D, 5, functools.partial(ShiftBatchNorm, n_steps=4)).double()
    by_reference = NormLSTM(D, 5, functools.partial(ShiftBatchNorm, n_steps=4), backend="reference").double()
    by_reference.load_state_dict(made.state_dict())
    torch.testing.assert_close(made(features(D))[0], by_reference(features(D))[0], rtol=0, atol=0)


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match=r"activations\.scale=tensor would make a position depend on others"):
        model(activations=functools.partial(Uniform, scale="tensor"))
    with pytest.raises(ValueError, match="sizes names no layer"):
        model(sizes=())
