"""Quantisers against their formulas, torch's fake quantisation, and differences of what their gradients stand for."""

import functools

import numpy as np
import pytest
import torch

from seqbench.models.cells.quantizer.binary import Binary
from seqbench.models.cells.quantizer.linear import Linear
from seqbench.models.cells.quantizer.power_of_two import PowerOfTwo, power_of_two
from seqbench.models.cells.quantizer.real import Real
from seqbench.models.cells.quantizer.straight_through import with_quantized_gradient
from seqbench.models.cells.quantizer.uniform import Uniform
from seqbench.optim.shift_adamax import power_of_two as power_of_two_of_optim

DRAW = torch.Generator().manual_seed(0)
X = 0.7 * torch.randn(5, 400, generator=DRAW, dtype=torch.float64)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_uniform_is_its_formula_and_uses_every_level(bits):
    n = 2**bits - 1
    x = np.clip(X.numpy(), -1, 1)
    expected = 2 * (np.round(n * (x + 1) / 2) / n - 0.5)
    torch.testing.assert_close(Uniform(bits, "one")(X), torch.from_numpy(expected))
    assert bits == 8 or len(Uniform(bits, "one")(X).unique()) == 2**bits
    assert 0 not in Uniform(bits, "one")(X)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_levels_are_as_many_as_bits_tell_apart(bits):
    dense = torch.linspace(-3, 3, 20_001, dtype=torch.float64)
    for quantizer in (Uniform(bits, "one"), Uniform(bits, "tensor"), Linear(bits), PowerOfTwo(bits)):
        assert len(quantizer(dense).unique()) == 2**bits, quantizer
    assert Binary()(dense).unique().tolist() == [-1, 1]


def test_scales_are_of_a_row_or_of_all():
    y = Uniform(4, "row")(X)
    assert torch.equal(y.abs().amax(1), X.abs().amax(1))
    torch.testing.assert_close(y[2], X[2].abs().max() * Uniform(4, "one")(X[2] / X[2].abs().max()))
    assert (y - X).abs().amax(1).le(X.abs().amax(1) / 15 + 1e-12).all()  # half a step
    largest = X.abs().max()
    torch.testing.assert_close(Uniform(4, "tensor")(X), largest * Uniform(4, "one")(X / largest))
    assert torch.equal(Uniform(3)(torch.zeros(2, 3)), torch.zeros(2, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", ["one", "row", "tensor"])
def test_a_level_stays_itself_to_the_last_digit(scale, dtype):
    for bits in (1, 2, 3, 4, 7):
        once = Uniform(bits, scale)(X.to(dtype))
        assert torch.equal(Uniform(bits, scale)(once), once), bits


def test_one_bit_is_the_sign():
    x = X[X != 0]
    assert torch.equal(Uniform(1, "one")(x), x.sign())
    assert torch.equal(Binary()(x), x.sign())
    assert Binary()(torch.tensor([0.0, -0.0])).tolist() == [1, 1]  # torch.sign(0) = 0


def test_the_mean_size_is_the_best_scale_of_signs():
    y, x = Binary("row")(X), X
    error = (x - y).square().sum(1)
    for factor in (0.99, 1.01):
        assert (error < (x - factor * y).square().sum(1)).all()
    assert Binary("tensor")(X).abs().unique().tolist() == pytest.approx([float(X.abs().mean())])


def test_powers_of_two():
    x = torch.tensor([3, 5, 0.7, -1.5, 0, 1, -4, 2.0**-20], dtype=torch.float64)
    assert power_of_two(x).tolist() == [4, 4, 0.5, -2, 0, 1, -4, 2.0**-20]
    border = 2**0.5
    assert power_of_two(torch.tensor([border - 1e-6, border + 1e-6], dtype=torch.float64)).tolist() == [1, 2]
    drawn = X.abs() * 10.0 ** torch.randint(-9, 9, X.shape, generator=DRAW)
    torch.testing.assert_close(power_of_two(drawn), torch.exp2(drawn.log2().round()), rtol=0, atol=0)
    assert torch.equal(power_of_two_of_optim(drawn), power_of_two(drawn))
    assert PowerOfTwo(3)(torch.tensor([2, 1, 0.3, -0.01, 0, -0.0])).tolist() == [1, 1, 0.25, -0.125, 0.125, 0.125]


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_linear_is_torchs_fake_quantisation_with_its_gradient(bits):
    x = torch.cat([2 * X.flatten(), torch.linspace(-2, 2, 1601, dtype=torch.float64)]).float()
    n = 2 ** (bits - 1)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    y = Linear(bits)(ours)
    expected = torch.fake_quantize_per_tensor_affine(theirs, 1 / n, 0, -n, n - 1)
    assert torch.equal(y, expected)
    weight = torch.randn(x.shape, generator=DRAW)
    for tensor in (y, expected):
        (tensor * weight).sum().backward()
    assert torch.equal(ours.grad, theirs.grad) and (ours.grad == 0).any()


def test_stochastic_signs_average_to_the_clipped_number():
    x = torch.tensor([-1.5, -1, -0.6, 0, 0.25, 0.9, 1, 3], dtype=torch.float64)
    torch.manual_seed(0)
    draws = Binary(stochastic=True)(x.expand(40_000, -1))
    assert draws.unique().tolist() == [-1, 1]
    torch.testing.assert_close(draws.mean(0), x.clamp(-1, 1), rtol=0, atol=4 / 40_000**0.5)
    assert torch.equal(Binary(stochastic=True).eval()(x), Binary()(x))


@pytest.mark.parametrize("quantizer", [Uniform(3, "one", True), Linear(3, True), Uniform(3, "tensor", True)])
def test_stochastic_rounding_has_no_bias(quantizer):
    x = torch.linspace(-1, 0.75, 40, dtype=torch.float64)
    torch.manual_seed(0)
    draws = quantizer(x.expand(40_000, -1))
    assert 4 <= len(draws.unique()) <= 8
    torch.testing.assert_close(draws.mean(0), x, rtol=0, atol=4 * 0.3 / 40_000**0.5)
    torch.manual_seed(1)
    once = quantizer(x)
    torch.manual_seed(1)
    assert torch.equal(quantizer(x), once)


@pytest.mark.parametrize(
    ("quantizer", "surrogate"),
    [
        (Binary(), lambda x: x.clamp(-1, 1)),
        (Uniform(3, "one"), lambda x: x.clamp(-1, 1)),
        (PowerOfTwo(3), lambda x: x.clamp(-1, 1)),
        (Uniform(3, "row"), lambda x: x),
        (Real(), lambda x: x),
    ],
)
def test_the_gradient_is_by_differences_of_the_surrogate(quantizer, surrogate):
    """q(x) + s(x + d) - s(x) is what the gradient stands for, never q(x + d), which is flat."""
    x = X[:2, :6].clone()
    weight = torch.randn(6, 3, generator=DRAW, dtype=torch.float64)

    def loss(y):
        return (y @ weight).tanh().sum()

    variable = x.clone().requires_grad_()
    loss(quantizer(variable)).backward()
    level, step = quantizer(x), 1e-6
    for row in range(2):
        for column in range(6):
            nudge = torch.zeros_like(x)
            nudge[row, column] = step
            up, down = (level + surrogate(x + d) - surrogate(x) for d in (nudge, -nudge))
            difference = (loss(up) - loss(down)) / (2 * step)
            assert float(difference) == pytest.approx(float(variable.grad[row, column]), abs=1e-8)


def test_gradients_are_quantised_on_their_way():
    x = X.clone().requires_grad_()
    weight = torch.randn(X.shape, generator=DRAW, dtype=torch.float64)
    y = with_quantized_gradient(x, Uniform(3, "row"))
    assert torch.equal(y, x)
    (y * weight).sum().backward()
    assert torch.equal(x.grad, Uniform(3, "row")(weight))
    torch.manual_seed(0)
    noisy = functools.partial(with_quantized_gradient, quantizer=Uniform(2, "row", stochastic=True))
    grads = [torch.autograd.grad((noisy(x) * weight).sum(), x)[0] for _ in range(3000)]
    torch.testing.assert_close(torch.stack(grads).mean(0), weight, rtol=0, atol=0.15)


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match="stochastic=true draws signs for scale=one, not row"):
        Binary("row", stochastic=True)
