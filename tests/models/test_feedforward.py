"""MLP and LeNet are their definitions."""

import pytest
import torch
import torch.nn.functional as F

from seqbench.models.convolutional.lenet import LeNet
from seqbench.models.other.mlp import MLP


@pytest.mark.parametrize(("nonlinearity", "function"), [("relu", torch.relu), ("tanh", torch.tanh)])
def test_a_perceptron_is_its_layers_at_each_step(nonlinearity, function):
    model, x = MLP(4, [5, 3], nonlinearity), torch.randn(2, 6, 4)
    (w1, b1), (w2, b2) = ((layer.weight, layer.bias) for layer in model.layers)
    torch.testing.assert_close(model(x)[0], function(function(x @ w1.T + b1) @ w2.T + b2))


def test_lenet_reads_an_image_a_step():
    model, x = LeNet(784), torch.rand(2, 3, 784)
    image = x[1, 2].view(1, 1, 28, 28)
    for convolution, padding in zip(model.convolutions, (2, 0), strict=True):
        image = F.max_pool2d(F.relu(F.conv2d(image, convolution.weight, convolution.bias, padding=padding)), 2)
    assert image.shape == (1, 16, 5, 5)
    y = image.flatten()
    for layer in model.layers:
        y = F.relu(layer.weight @ y + layer.bias)
    torch.testing.assert_close(model(x)[0][1, 2], y)
    assert sum(parameter.numel() for parameter in model.parameters()) + 84 * 10 + 10 == 61_706  # with a head: LeNet-5's


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"d_input": 10}, "an image of 3 x 3 pixels is not the 10 inputs of a step"),
        ({"d_input": 16}, "kernel is odd and fits into half an image, not 5"),
        ({"d_input": 784, "kernel": 4}, "kernel is odd"),
        ({"d_input": 784, "channels": [3]}, "two convolutions"),
    ],
)
def test_what_is_no_lenet_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        LeNet(**arguments)
