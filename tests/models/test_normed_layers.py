"""The network with norms between its layers, against torch's parts, in float64."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from seqbench.models.cells.norm.batch_layer_norm import BatchLayerNorm
from seqbench.models.cells.norm.batch_norm import BatchNorm
from seqbench.models.cells.norm.layer_norm import LayerNorm
from seqbench.models.recurrent.normed_layers import NormedLayers

B, T, D = 4, 6, 5


@pytest.fixture(autouse=True)
def _in_float64():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def batch_norm(h_BTD, eps):
    """Over the rows of each step."""
    return F.batch_norm(h_BTD.flatten(1), None, None, training=True, eps=eps).view(h_BTD.shape)


def through(model, x, normalise):
    for lstm in model.lstms:
        x = normalise(lstm(x)[0])
    for layer in model.dense:
        x = normalise(layer(x).tanh())
    return x


def layer_norm(h_BTD):
    return F.layer_norm(h_BTD, h_BTD.shape[-1:])


NORMS = {
    "layer_norm": (LayerNorm, layer_norm),
    "batch_norm": (partial(BatchNorm, n_steps=T, gain=1.0), partial(batch_norm, eps=1e-5)),
    "batch_layer_norm": (
        partial(BatchLayerNorm, batch_size=B, n_steps=T),
        lambda h: (
            ((1 / B - 1e-4) * F.layer_norm(h, h.shape[-1:], eps=1e-3) + (1 - (1 / B + 1e-4)) * batch_norm(h, 1e-3))
            / h.shape[-1] ** 0.5
        ),
    ),
}


@pytest.mark.parametrize("name", NORMS)
def test_each_layer_is_followed_by_the_norm(name):
    norm, expected = NORMS[name]
    model, x = NormedLayers(D, [7, 4], norm, [3]), torch.randn(B, T, D)
    torch.testing.assert_close(model(x)[0], through(model, x, expected))
    assert model.couples_rows is (name != "layer_norm") and model.d_output == 3


def test_the_scale_is_that_of_batch_layer_norm():
    model, x = NormedLayers(D, [7], LayerNorm, scale=True), torch.randn(B, T, D)
    torch.testing.assert_close(model(x)[0], layer_norm(model.lstms[0](x)[0]) / 7**0.5)
    with pytest.raises(ValueError, match=r"scale=true has no effect here"):
        NormedLayers(D, [7], NORMS["batch_layer_norm"][0], scale=True)


def test_dropout_has_one_mask_for_all_steps_and_none_in_evaluation():
    model, x = NormedLayers(D, [7], LayerNorm, dropout=0.5), torch.ones(B, T, D)
    dropped = model._dropped(x)
    assert dropped.eq(dropped[:, :1]).all() and set(dropped.unique().tolist()) == {0.0, 2.0}
    assert model.eval()._dropped(x).equal(x)


def test_first_weights():
    model = NormedLayers(D, [7], LayerNorm, [6])
    (lstm,), (layer,) = model.lstms, model.dense
    assert lstm.bias_hh_l0.eq(0).all() and lstm.bias_ih_l0.view(4, 7)[1].eq(1).all() and lstm.bias_ih_l0.sum() == 7
    assert lstm.weight_hh_l0.abs().max().item() <= (6 / (4 * 7 + 7)) ** 0.5
    torch.testing.assert_close(layer.weight @ layer.weight.T, torch.eye(6))
