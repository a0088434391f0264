"""Norms against torch's: of layers, batches, both, and a window of steps."""

import functools

import pytest
import torch
import torch.nn.functional as F
from said import one_sentence
from small_run import SMALL
from torch import nn

from seqbench.contracts.norm import Steps
from seqbench.models.cells.norm.assorted_time_norm import AssortedTimeNorm
from seqbench.models.cells.norm.batch_layer_norm import BatchLayerNorm
from seqbench.models.cells.norm.batch_norm import BatchNorm
from seqbench.models.cells.norm.layer_norm import LayerNorm
from seqbench.models.cells.norm.of_batch import estimate_population
from seqbench.models.cells.norm.pooled_batch_norm import PooledBatchNorm

D, T, B = 6, 9, 5
X_TBD = torch.randn(T, B, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def drawn(norm):
    """The norm in float64, every parameter drawn."""
    torch.manual_seed(1)
    norm = norm.double()
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.add_(torch.rand_like(parameter))
    return norm


def estimate(norm, *batches):
    """The population's statistics of such batches (T, B, D)."""

    def passes():
        for x_TBD in batches:
            norm.train()(x_TBD)
            yield

    with torch.no_grad():
        estimate_population(norm, passes())
    return norm.eval()


def test_a_window_of_one_step_is_layer_normalisation():
    norm = drawn(AssortedTimeNorm(D, k=1))
    torch.testing.assert_close(norm(X_TBD), F.layer_norm(X_TBD, [D], norm.weight, norm.bias), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("k", [2, 4, 20])
def test_a_window_normalises_by_all_features_of_its_steps(k):
    norm = drawn(AssortedTimeNorm(D, k))
    for t, y_BD in enumerate(norm(X_TBD)):
        window_BN = X_TBD[max(t - k + 1, 0) : t + 1].transpose(0, 1).flatten(1)
        variance_B1, mean_B1 = torch.var_mean(window_BN, 1, correction=0, keepdim=True)
        expected_BD = norm.weight * (X_TBD[t] - mean_B1) / (variance_B1 + norm.eps).sqrt() + norm.bias
        torch.testing.assert_close(y_BD, expected_BD, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("size", [1, 4, T])
def test_a_window_goes_on_in_the_next_piece(size):
    norm, memory, outputs = drawn(AssortedTimeNorm(D, k=4)), None, []
    for x_TBD in X_TBD.split(size):
        y_TBD, memory = norm.over_time(x_TBD, Steps(), memory)
        outputs.append(y_TBD)
    torch.testing.assert_close(torch.cat(outputs), norm(X_TBD), rtol=1e-12, atol=1e-13)
    assert memory.shape == (B, 3, 2)


def test_a_window_of_a_constant_sequence_is_that_of_a_step():
    x_TBD = X_TBD[:1].expand_as(X_TBD)
    norm = drawn(AssortedTimeNorm(D, k=20))
    torch.testing.assert_close(norm(x_TBD), F.layer_norm(x_TBD, [D], norm.weight, norm.bias), rtol=1e-11, atol=1e-12)


def test_a_windows_variance_keeps_its_digits_far_from_zero():
    norm, x_TBD = AssortedTimeNorm(D, k=4).float(), X_TBD.float()
    torch.testing.assert_close(norm(x_TBD + 1024), norm(x_TBD), rtol=0, atol=1e-3)  # to the input's own rounding


def test_gradients_of_a_window_reach_all_its_steps_and_the_memory():
    norm = drawn(AssortedTimeNorm(D, k=3))
    x_TBD, memory_BM2 = X_TBD[:4, :2].clone().requires_grad_(), torch.rand(2, 2, 2).double().requires_grad_()

    def outputs(x_TBD, memory_BM2):
        return norm.over_time(x_TBD, Steps(), memory_BM2)

    assert torch.autograd.gradcheck(outputs, (x_TBD, memory_BM2))
    (gradient_TBD,) = torch.autograd.grad(norm.over_time(x_TBD, Steps(), None)[0][3, :, 0].sum(), x_TBD)
    assert gradient_TBD.abs().sum((1, 2)).bool().tolist() == [False, True, True, True]


@pytest.mark.parametrize("scale", [3.0, 0.01])
@pytest.mark.parametrize("make", [LayerNorm, functools.partial(AssortedTimeNorm, k=3)], ids=["layer", "window"])
def test_the_scale_of_the_sums_does_not_matter(make, scale):
    norm = drawn(make(d_input=D, eps=1e-14))
    torch.testing.assert_close(norm(scale * X_TBD), norm(X_TBD), rtol=1e-8, atol=1e-9)


def test_batch_layer_normalisation_is_the_weighted_sum_of_both():
    norm = drawn(BatchLayerNorm(D, batch_size=B, n_steps=T))
    of_batch = F.batch_norm(X_TBD.transpose(0, 1).flatten(1), None, None, None, None, True, 0.0, norm.eps)
    of_batch_TBD = of_batch.view(B, T, D).transpose(0, 1)
    of_features_TBD = F.layer_norm(X_TBD, [D], eps=norm.eps)
    sum_TBD = (1 / B - 1e-4) * of_features_TBD + (1 - 1 / B - 1e-4) * of_batch_TBD
    torch.testing.assert_close(norm(X_TBD), norm.gain * sum_TBD / D**0.5 + norm.bias, rtol=1e-11, atol=1e-12)
    assert norm.weight_features + norm.weight_batch == pytest.approx(0.9998)


def test_batch_layer_normalisation_of_one_row_is_layer_normalisation():
    norm, x_T1D = drawn(BatchLayerNorm(D, batch_size=1, n_steps=T)), X_TBD[:, :1]
    expected_T1D = norm.gain * 0.9999 * F.layer_norm(x_T1D, [D], eps=norm.eps) / D**0.5 + norm.bias
    torch.testing.assert_close(norm(x_T1D), expected_T1D, rtol=1e-11, atol=1e-12)


def test_gradients_of_batch_layer_normalisation():
    norm = drawn(BatchLayerNorm(D, batch_size=3, n_steps=T))
    x_TBD = X_TBD[:2, :3].clone().requires_grad_()
    assert torch.autograd.gradcheck(norm, (x_TBD,))


@pytest.mark.parametrize(
    "make",
    [BatchNorm, functools.partial(BatchLayerNorm, batch_size=B)],
    ids=["batch_norm", "batch_layer_norm"],
)
def test_a_population_of_one_batch_is_that_batch(make):
    norm = drawn(make(d_input=D, n_steps=T))
    y_TBD = norm(X_TBD)
    torch.testing.assert_close(estimate(norm, X_TBD)(X_TBD), y_TBD, rtol=1e-12, atol=1e-13)
    with pytest.raises(AssertionError):  # where there is something to estimate
        torch.testing.assert_close(estimate(norm, 3 * X_TBD)(X_TBD), y_TBD)


def test_pooled_statistics_are_those_of_the_frames_that_are_no_padding():
    norm, oracle = drawn(PooledBatchNorm(D)), nn.BatchNorm1d(D, momentum=None).double()
    valid_TB = torch.arange(T)[:, None] < torch.tensor([9, 2, 5, 1, 7])
    with torch.no_grad():
        oracle.weight.copy_(norm.gain)
    y_TBD, _ = norm.over_time(X_TBD, Steps(0, valid_TB), None)
    torch.testing.assert_close(y_TBD[valid_TB], oracle(X_TBD[valid_TB]), rtol=1e-11, atol=1e-12)


def test_a_step_of_its_own_is_pooled_over_one_step():
    each, pooled = drawn(BatchNorm(D, n_steps=T)), drawn(PooledBatchNorm(D, gain=0.1))
    torch.testing.assert_close(each(X_TBD[:1]), pooled(X_TBD[:1]), rtol=1e-12, atol=1e-13)
    assert not torch.allclose(each(X_TBD), pooled(X_TBD))


def test_cyclic_statistics_are_those_of_the_position_in_a_window():
    norm = drawn(BatchNorm(D, n_steps=3, cyclic=True))
    in_windows = [norm.over_time(x_TBD, Steps(3 * index), None)[0] for index, x_TBD in enumerate(X_TBD.split(3))]
    torch.testing.assert_close(torch.cat(in_windows), norm(X_TBD))
    estimate(norm, X_TBD)
    torch.testing.assert_close(norm.mean_SD, X_TBD.mean(1).view(3, 3, D).mean(0), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(norm.population(4, 4)[0], norm.mean_SD[[1, 2, 0, 1]])
    torch.testing.assert_close(norm.over_time(X_TBD[4:], Steps(4), None)[0], norm(X_TBD)[4:], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            ["model=transformer", "norm@model.norm=assorted_time_norm"],
            "Transformer cannot take AssortedTimeNorm, which reads other steps than the one that it normalises.",
        ),
        (
            ["model=norm_lstm", "model.norms=[input]", "norm@model.norm=public_batch_norm"],
            "NormLSTM cannot take PublicBatchNorm: it sends no public data through its layers, as mlp and lenet do.",
        ),
        (
            ["model=bn_lstm", "norm@model.norm=pooled_batch_norm"],
            "model: PooledBatchNorm reads a sequence as a whole, so norms is [input], not hidden.",
        ),
        (
            ["model=ln_lstm", "model.norms=[inputs]"],
            "model: norms names places of the model, input, hidden,",
        ),
        (
            ["model=norm_gru", "model.norms=[sum]"],
            "model: norms names places of a GRU, input and hidden:",
        ),
        (
            ["model=atn_lstm", "model.forget_bias=1"],
            "model: forget_bias=1 is of the bias of the sum, which",
        ),
        (["model=ln_lstm", "model.init_range=1"], "model: init_range=1 is for init=uniform, not orthogonal."),
        (
            ["model=bln_lstm", "train.accumulate=2"],
            "train.accumulate=2 would not equal a larger batch: in NormLSTM",
        ),
        (["model=norm_rnn", "model.dropout=0.5"], "model: dropout=0.5 applies between layers and there is only one;"),
    ],
)
def test_mistakes(seqbench, tmp_path, settings, sentence):
    small = [setting for setting in SMALL if "model" not in setting]
    code, _, said = seqbench("train", *small, "train.max_steps=1", *settings)
    assert code == 2
    assert sentence in one_sentence(said)
    assert not list(tmp_path.iterdir())
