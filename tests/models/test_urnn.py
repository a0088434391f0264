"""uRNN against the paper's equations in float64, and its transforms against the dense matrix."""

import math

import pytest
import torch
from torch import Tensor, nn

from seqbench.models.cells.time_loop import native
from seqbench.models.unitary.urnn import URNN

needs_compiler = pytest.mark.skipif(native.library() is None, reason="no compiler here")
SIZES = [1, 2, 7, 8, 12, 16, 32, 64]


def made(n: int, dtype: torch.dtype = torch.float64, **settings) -> URNN:
    torch.manual_seed(n)
    return URNN(3, n, **settings).to(dtype)


def matrix(model: URNN) -> Tensor:
    """W by eq. 6, for column vectors, from matrices alone."""
    n = len(model.bias)
    d1, d2, d3 = (torch.diag(torch.exp(1j * theta)) for theta in model.theta.detach())
    v1, v2 = torch.complex(model.reflections[:, :n], model.reflections[:, n:]).detach()
    if model.conjugated:
        v1, v2 = v1.conj(), v2.conj()
    identity = torch.eye(n, dtype=torch.complex128)
    r1, r2 = (identity - 2 * torch.outer(v, v.conj()) / torch.vdot(v, v) for v in (v1, v2))
    place = torch.arange(n, dtype=torch.float64)
    transform = torch.exp(-2j * math.pi * torch.outer(place, place) / n) / math.sqrt(n)
    return d3 @ r2 @ transform.mH @ d2 @ identity[model.permutation] @ r1 @ transform @ d1


def complex_of(y: Tensor) -> Tensor:
    return torch.complex(*y.chunk(2, -1))


@pytest.mark.parametrize("conjugated", [False, True])
@pytest.mark.parametrize("form", ["fft", "dense"])
@pytest.mark.parametrize("n", SIZES)
def test_w_is_the_papers(n, form, conjugated):
    model = made(n, form=form, conjugated=conjugated)
    w = matrix(model)
    torch.testing.assert_close(w.mH @ w, torch.eye(n, dtype=torch.complex128), rtol=0, atol=1e-12)
    h = torch.randn(5, 2 * n, dtype=torch.float64)
    applied = complex_of(model.linear_map().apply(h))
    torch.testing.assert_close(applied, complex_of(h) @ w.T, rtol=0, atol=1e-12)
    torch.testing.assert_close(applied.norm(dim=1), h.norm(dim=1), rtol=0, atol=1e-12)
    torch.testing.assert_close(h @ model.linear_map().dense(), model.linear_map().apply(h), rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [7, 16])
def test_the_recurrence_is_the_papers(n):
    model = made(n)
    model.bias.data.uniform_(-0.5, 0.1)
    w, v = matrix(model), complex_of(model.weight_input.detach())
    x, h = torch.randn(2, 9, 3, dtype=torch.float64), complex_of(model.start.detach()).expand(2, n)
    y, state, _ = model(x)
    for t in range(9):
        z = h @ w.T + x[:, t].to(v.dtype) @ v
        h = z / z.abs() * torch.relu(z.abs() + model.bias.detach())
        torch.testing.assert_close(complex_of(y[:, t]), h, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(complex_of(state), h, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("n", [6, 16])
def test_without_inputs_and_bias_the_state_keeps_its_length(n):
    model = made(n)
    model.bias.data.zero_()
    model.weight_input.data.zero_()
    length = model(torch.zeros(1, 200, 3, dtype=torch.float64))[0].norm(dim=-1)
    torch.testing.assert_close(length, model.start.norm().expand(1, 200), rtol=0, atol=1e-12)


def gradients(model: URNN, rows: int, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 6, 3, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
    y, state, _ = model(x)
    mix = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(dtype)
    loss = (y * mix).sum() + state.pow(3).sum()
    return [y, *torch.autograd.grad(loss, [x, *model.parameters()])]


@needs_compiler
@pytest.mark.parametrize("rows", [1, 17, 32])
@pytest.mark.parametrize("n", [2, 4, 8, 16, 32, 64])  # one number's reflection is a sign, whose v has no gradient
def test_compiled_transforms_equal_the_dense_matrix(n, rows):
    """With all gradients. They come to some tens, and each is a sum of some hundred terms along six steps: 1e-12 in
    float64, where rounding is 1e-16. In float32 it is 6e-8."""
    for dtype, tolerance in [(torch.float64, 1e-11), (torch.float32, 2e-4)]:
        ours = gradients(made(n, dtype, form="fft", backend="native"), rows, dtype)
        theirs = gradients(made(n, dtype, form="dense", backend="reference"), rows, dtype)
        for own, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(own, other, rtol=0, atol=tolerance * max(1.0, other.abs().max().item()))


@pytest.mark.parametrize("backend", ["reference", pytest.param("native", marks=needs_compiler)])
@pytest.mark.parametrize("form", ["fft", "dense"])
def test_gradcheck(form, backend):
    model = made(4, form=form, backend=backend)
    names, values = zip(*model.named_parameters(), strict=True)
    x = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)

    def run(x, *values):
        return torch.func.functional_call(model, (dict(zip(names, values, strict=True)),), (x,))[:2]

    assert torch.autograd.gradcheck(run, (x, *values))


@needs_compiler
def test_a_thousand_steps_are_as_exact_as_torchs_transforms():
    """Over 1,000 steps every float32 version is off, by 1e-5 to 1e-4; equally good ways to round differ by chance, but
    a norm over hundreds of errors not by a factor of three."""

    def run(dtype: torch.dtype, form: str, backend: str) -> list[Tensor]:
        model = made(64, dtype, form=form, backend=backend)
        x = torch.randn(4, 1000, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
        y, _, _ = model(x)
        return [y.detach(), *torch.autograd.grad(y.square().mean(), list(model.parameters()))]

    exact = run(torch.float64, "dense", "native")
    found = [run(torch.float32, "fft", backend) for backend in ("native", "reference")]
    for own, other, right in zip(*found, exact, strict=True):
        assert (own - right).norm() < max(3 * (other - right).norm(), 1e-6 * right.norm())


def test_w_stays_unitary_in_training():
    """1,000 steps of RMSprop on a small sum; W is made of float32 numbers."""
    model = made(8, torch.float32)
    optimizer, x = torch.optim.RMSprop(model.parameters(), lr=1e-3), torch.randn(1, 2, 3)
    for _ in range(1000):
        optimizer.zero_grad()
        (model(x)[0] - 1).square().sum().backward()
        optimizer.step()
    w = model.linear_map().dense().detach()
    assert (w.T @ w - torch.eye(16)).abs().max() < 1e-6
    assert (made(8, torch.float32).theta - model.theta).abs().max() > 0.01  # it has moved


def count(model: URNN, n_outputs: int) -> int:
    head = nn.Linear(model.d_output, n_outputs)
    return sum(parameter.numel() for parameter in [*model.parameters(), *head.parameters()])


def test_the_papers_parameter_counts():
    """2 n m + 2 n o + 10 n + o for n units, m inputs and o outputs; the paper says about 6,500, 9,000 and 16,000."""
    assert count(URNN(10, hidden_size=128), 9) == 6_153
    assert count(URNN(2, hidden_size=512), 1) == 8_193
    assert count(URNN(1, hidden_size=512), 10) == 16_394


def test_the_authors_start_and_the_papers():
    torch.manual_seed(0)
    code, paper = URNN(10, 512), URNN(10, 512, init="paper")
    assert 0.0095 < code.bias.abs().max() <= 0.01 and not paper.bias.any()
    assert code.reflections.abs().max() <= math.sqrt(6 / 1026) and paper.reflections.abs().max() > 0.99
    for model in (code, paper):
        assert 3.1 < model.theta.abs().max() <= math.pi
        assert model.start.square().sum().item() == pytest.approx(1, abs=0.1)
        assert sorted(model.permutation.tolist()) == list(range(512))


def test_transforms_of_other_sizes_are_not_compiled():
    with pytest.raises(RuntimeError, match="no native recurrence for this device, type, width and map"):
        URNN(3, 12, form="fft", backend="native")(torch.randn(1, 2, 3))
    URNN(3, 12, form="auto", backend="auto")(torch.randn(1, 2, 3))
