"""ConvARMA against the equation, a lag and a step at a time, and its spatial differences pixel by pixel."""

import pytest
import torch
import torch.nn.functional as F

from seqbench.models.convolutional.conv_arma import ConvARMA, spatial_differences

H, W, C = 5, 4, 2


def random_model(**settings) -> ConvARMA:
    torch.manual_seed(0)
    model = ConvARMA(H * W * C, [H, W, C], **settings).double()
    for parameter in model.parameters():
        parameter.data.uniform_(-0.4, 0.4)
    return model


def written_out(layer, x_BTCHW: torch.Tensor, activation) -> torch.Tensor:
    """f(sum_i a_i (y_{t-i} conv K_i + c_i) + sum_j m_j (v_{t-j} conv R_j + d_j) + b), lags before the start zero."""

    def numbers(values_U: torch.Tensor) -> torch.Tensor:
        return values_U[None, :, None, None]

    outputs: list[torch.Tensor] = []
    p, q = layer.K.shape[1], layer.R.shape[1]
    for t in range(x_BTCHW.shape[1]):
        total = numbers(layer.b)
        for i in range(p):
            y = x_BTCHW[:, t - i] if t >= i else torch.zeros_like(x_BTCHW[:, 0])
            convolved = F.conv2d(y, layer.K[:, i], padding=layer.padding)
            total = total + numbers(layer.a[:, i]) * (convolved + numbers(layer.c[:, i]))
        for j in range(q):
            v = outputs[t - 1 - j] if t >= j + 1 else torch.zeros(len(x_BTCHW), len(layer.R), H, W).double()
            convolved = F.conv2d(v, layer.R[:, j], padding=layer.padding)
            total = total + numbers(layer.m[:, j]) * (convolved + numbers(layer.d[:, j]))
        outputs.append(activation(total))
    return torch.stack(outputs, 1)


@pytest.mark.parametrize(("name", "activation"), [("relu", torch.relu), ("linear", lambda a: a)])
def test_it_is_its_equation(name, activation):
    model = random_model(layers=[[3, 3, 2], [4, 1, 3]], activation=name)
    x_BTCHW = torch.randn(2, 6, C, H, W).double()
    y_BTCHW = x_BTCHW
    for layer in model.layers:
        y_BTCHW = written_out(layer, y_BTCHW, activation)
    frames = F.conv2d(y_BTCHW.flatten(0, 1), model.readout.weight, model.readout.bias, padding=1)
    expected = frames.unflatten(0, (2, 6)).permute(0, 1, 3, 4, 2).flatten(2)
    got = model(x_BTCHW.permute(0, 1, 3, 4, 2).flatten(2))[0]
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shift", [1, 2])
@pytest.mark.parametrize("as_released", [False, True])
def test_spatial_differences_pixel_by_pixel(shift, as_released):
    torch.manual_seed(0)
    x_MCHW = torch.randn(3, C, H, W).double()
    parts = spatial_differences(x_MCHW, shift, as_released).split(C, 1)
    assert torch.equal(parts[0], x_MCHW) and len(parts) == 5
    for part, (down, right) in zip(parts[1:], ((-shift, 0), (shift, 0), (0, -shift), (0, shift)), strict=True):
        for row in range(H):
            for column in range(W):
                other = row + down, column + right
                inside = 0 <= other[0] < H and 0 <= other[1] < W
                if as_released and down + right > 0:
                    inside = (row if down else column) < shift
                    other = other[0] % H, other[1] % W
                expected = x_MCHW[..., row, column] - x_MCHW[..., other[0], other[1]] if inside else 0 * part[..., 0, 0]
                torch.testing.assert_close(part[..., row, column], expected, rtol=0, atol=0)


def test_differences_are_read_beside_the_frame():
    model = random_model(layers=[[3, 2, 1]], differences=1)
    x_BTD = torch.randn(2, 4, H * W * C).double()
    frames = x_BTD.view(8, H, W, C).permute(0, 3, 1, 2)
    wider = spatial_differences(frames, 1).view(2, 4, 5 * C, H, W)
    expected = written_out(model.layers[0], wider, torch.relu)
    torch.testing.assert_close(model.layers[0](wider, None)[0], expected)
    assert model.layers[0].K.shape[2] == 5 * C
    released = random_model(layers=[[3, 2, 1]], differences=1, released_differences=True)
    assert not torch.allclose(model(x_BTD)[0], released(x_BTD)[0])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"frame": [5, 4, 3]}, "a frame of 5 x 4 x 3 numbers is not the 40 inputs of a step"),
        ({"layers": [[3, 2]]}, r"layers are \[units, p, q\] each"),
        ({"layers": []}, "one at least"),
        ({"kernel": 2}, "kernel is odd"),
        ({"differences": 4}, "moves a frame of 5 x 4 out of itself"),
        ({"released_differences": True}, "no effect without differences"),
    ],
)
def test_a_mistake_is_one_sentence(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        ConvARMA(H * W * C, **{"frame": [H, W, C], "layers": [[3, 2, 1]], **settings})
