"""Norms of MLP and LeNet against torch's in float64, and which rows can influence which."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from seqbench.contracts.peers import Alone
from seqbench.models.cells.norm.group_norm import GroupNorm
from seqbench.models.cells.norm.layer_norm import LayerNorm
from seqbench.models.cells.norm.pooled_batch_norm import PooledBatchNorm
from seqbench.models.cells.norm.public_batch_norm import PublicBatchNorm
from seqbench.models.convolutional.lenet import LeNet
from seqbench.models.other.mlp import MLP

N, D, EPS = 5, 64, 1e-5


@pytest.fixture(autouse=True)
def _in_float64():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def lenet(norm, public=None):
    model = LeNet(D, [4, 6], 3, [8], norm=norm, public=public)
    for parameter in model.parameters():  # a gain of 1 and a shift of 0 would hide what they do
        parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def through_lenet(model, x, normalise):
    """LeNet by its definition; `normalise(index, z)` has (N, C, H, W) or (N, D)."""
    h = x.reshape(-1, 1, 8, 8)
    for index, convolution in enumerate(model.convolutions):
        z = normalise(index, F.conv2d(h, convolution.weight, padding=(1, 0)[index]))
        h = F.max_pool2d(F.relu(z), 2, ceil_mode=True)
    (layer,) = model.layers
    return F.relu(normalise(2, h.flatten(1) @ layer.weight.T))


def shifted(model, index, z):
    shift = model.norms.shifts[index]
    return z + (shift[:, None, None] if z.dim() == 4 else shift)


def test_batch_norm_is_torchs_over_rows_and_pixels():
    model, x = lenet(PooledBatchNorm), torch.rand(N, 1, D)

    def torchs(index, z):
        return F.batch_norm(z, None, None, model.norms.norms[index].gain, model.norms.shifts[index], True, 0, EPS)

    torch.testing.assert_close(model(x)[0][:, 0], through_lenet(model, x, torchs))


def test_group_norm_is_torchs_over_an_images_pixels():
    model, x = lenet(GroupNorm), torch.rand(N, 1, D)

    def torchs(index, z):
        norm = model.norms.norms[index]
        return shifted(model, index, F.group_norm(z, 2, norm.weight, norm.bias, EPS))

    torch.testing.assert_close(model(x)[0][:, 0], through_lenet(model, x, torchs))


def test_layer_norm_is_over_a_pixels_channels():
    model, x = lenet(LayerNorm), torch.rand(N, 1, D)

    def torchs(index, z):
        norm = model.norms.norms[index]
        last = F.layer_norm(z.movedim(1, -1), z.shape[1:2], norm.weight, norm.bias, EPS).movedim(-1, 1)
        return shifted(model, index, last)

    torch.testing.assert_close(model(x)[0][:, 0], through_lenet(model, x, torchs))


def test_the_population_of_equal_batches_is_that_of_torchs_running_averages():
    """BatchNorm1d(momentum=None) averages means and unbiased variances of the batches, all layers in training mode."""
    model = MLP(6, [7, 4], "sigmoid", norm=PooledBatchNorm)
    batches = [torch.randn(N, 1, 6) for _ in range(3)]
    model.train()
    model.prepare_evaluation(_passes(model, batches), Alone())
    torchs = [torch.nn.BatchNorm1d(width, momentum=None) for width in (7, 4)]

    def through(x):
        for layer, norm, shift in zip(model.layers, torchs, model.norms.shifts, strict=True):
            x = torch.sigmoid(norm(layer(x)) + shift)
        return x

    for batch in batches:
        through(batch[:, 0])
    for norm in torchs:
        norm.eval()
    x = torch.randn(9, 1, 6)
    torch.testing.assert_close(model.eval()(x)[0][:, 0], through(x[:, 0]))


def _passes(model, batches):
    for batch in itertools.cycle(batches):
        model(batch)
        yield
        if batch is batches[-1]:
            return


def test_batch_norm_does_not_see_padding_nor_the_scale_of_weights():
    def norm(d_input):
        return PooledBatchNorm(d_input, eps=1e-30)

    model, x = MLP(6, [7], "tanh", norm=norm), torch.randn(2, 3, 6)
    valid = torch.tensor([[True, True, True], [True, False, False]])
    other = x.clone()
    other[1, 1:] = 100.0
    torch.testing.assert_close(model(x, None, valid)[0][valid], model(other, None, valid)[0][valid])
    before = model(x)[0]
    model.layers[0].weight.data *= 3
    torch.testing.assert_close(model(x)[0], before)


@pytest.mark.parametrize("differentiable", [True, False])
def test_public_rows_alone_make_the_statistics(differentiable):
    public, x = torch.rand(7, 1, D), torch.rand(N, 1, D)
    model = lenet(lambda d_input: PublicBatchNorm(d_input, differentiable=differentiable), public)
    moments = []

    def note(index, z):
        dims = [dim for dim in range(z.dim()) if dim != 1]
        variance, mean = torch.var_mean(z, dims, correction=0, keepdim=True)
        moments.append((mean, variance) if differentiable else (mean.detach(), variance.detach()))
        return by(index, z)

    def by(index, z):
        mean, variance = moments[index]
        gain = model.norms.norms[index].gain.view([1, -1] + [1] * (z.dim() - 2))
        return shifted(model, index, gain * (z - mean) / (variance + EPS).sqrt())

    weights = [*model.convolutions.parameters(), *model.layers.parameters()]
    through_lenet(model, public, note)
    expected = through_lenet(model, x, by)
    y = model(x)[0][:, 0]
    torch.testing.assert_close(y, expected)
    gradients = zip(*(torch.autograd.grad(z.square().sum(), weights) for z in (y, expected)), strict=True)
    for one, other in gradients:
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(model.eval()(x)[0][:, 0], y)
    torch.testing.assert_close(model(x[2:3])[0][:, 0], y[2:3])


def clipped_sum(model, x, clip=0.1):
    """The sum of the clipped gradients of rows' losses: what DP-SGD blurs."""
    weights = list(model.parameters())
    losses = model(x)[0].square().sum((1, 2))
    total = 0.0
    for loss in losses:
        row = torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights, retain_graph=True)])
        total = total + row * min(1.0, clip / float(row.norm()))
    return total


@pytest.mark.parametrize(("of", "is_bounded"), [("public", True), ("all", False)])
def test_one_row_changes_the_clipped_sum_within_its_bound_where_statistics_are_public(of, is_bounded):
    """Replacing a row may move the sum by twice the clip, if no other row's gradient depends on it. With the released
    code's statistics of public and private rows together it moves by more: no epsilon follows."""
    clip, public, x = 0.1, 0.1 * torch.rand(4, 1, D), 0.1 * torch.rand(30, 1, D)  # dark images
    model = lenet(lambda d_input: PublicBatchNorm(d_input, of=of), public)
    assert model.couples_rows is not is_bounded
    other = x.clone()
    other[0] = 1.0  # a white image
    distance = float((clipped_sum(model, other, clip) - clipped_sum(model, x, clip)).norm())
    assert (distance <= 2 * clip) is is_bounded


def test_public_statistics_want_public_rows():
    with pytest.raises(ValueError, match="this task has none; task=mnist_poisson has"):
        MLP(6, [4], norm=PublicBatchNorm)
