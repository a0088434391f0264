"""Solvers of fixed points: right answers, each row for itself, and what happens where there is none."""

import functools

import pytest
import torch

from seqbench.models.cells.equilibrium.anderson import Anderson
from seqbench.models.cells.equilibrium.broyden import Broyden
from seqbench.models.cells.equilibrium.plain import Plain

METHODS = {"plain": Plain, "anderson": Anderson, "broyden": Broyden}
B, K = 5, 40
RATES = [0.1, 0.3, 0.5, 0.7, 0.9]  # how fast each row contracts


def remembering(method, memory):
    """A solver of a memory, which plain iteration has none of."""
    return method if method is Plain else functools.partial(method, memory=memory)


def problem(rates=RATES, dtype=torch.float64):
    """f(z) = tanh(A z) + b, row by row, for all rows and for some of them."""
    generator = torch.Generator().manual_seed(0)
    a = torch.linalg.qr(torch.randn(len(rates), K, K, generator=generator, dtype=torch.float64))[0]
    a = (a * torch.tensor(rates, dtype=torch.float64)[:, None, None]).to(dtype)
    b = torch.randn(len(rates), K, generator=generator, dtype=torch.float64).to(dtype)

    def function(rows=slice(None)):
        return lambda z: torch.tanh(torch.bmm(a[rows], z.unsqueeze(2)).squeeze(2)) + b[rows]

    return function, torch.zeros_like(b)


def unstable(rates):
    """f(z) = A z + b with eigenvalues of these sizes."""
    generator = torch.Generator().manual_seed(0)
    b = torch.randn(len(rates), K, generator=generator, dtype=torch.float64)
    return lambda z: z * torch.tensor(rates, dtype=torch.float64)[:, None] + b, torch.zeros_like(b)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("relative", [True, False])
def test_finds_the_fixed_point(method, relative):
    function, start = problem()
    solution = remembering(method, 20)(400, 1e-10, relative).solve(function(), start)
    change = (function()(solution.z) - solution.z).norm(dim=1)
    scale = function()(solution.z).norm(dim=1) if relative else 1
    torch.testing.assert_close(change / scale, solution.residual_B, rtol=1e-3, atol=1e-14)
    assert solution.converged_B.all() and (solution.residual_B <= 1e-10).all() and not solution.failed_B.any()
    truth = Plain(5000, 1e-15).solve(function(), start).z
    torch.testing.assert_close(solution.z, truth, rtol=0, atol=1e-8)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_row_alone_equals_the_row_in_a_batch(method):
    function, start = problem()
    solver = method(60, 1e-6)
    together = solver.solve(function(), start)
    assert len(set(together.evaluations_B.tolist())) == B  # each stops at its own time
    for row in range(B):
        alone = solver.solve(function(slice(row, row + 1)), start[row : row + 1])
        torch.testing.assert_close(alone.z[0], together.z[row], rtol=0, atol=1e-6)
        assert alone.evaluations_B[0] == together.evaluations_B[row]


def test_acceleration_needs_fewer_evaluations():
    rates_K = torch.linspace(0, 0.97, K)
    b_BK = torch.randn(2, K, generator=torch.Generator().manual_seed(0))
    counts = {}
    for name, method in METHODS.items():
        solution = remembering(method, 10)(1000, 1e-4).solve(lambda z: z * rates_K + b_BK, torch.zeros_like(b_BK))
        counts[name] = int(solution.evaluations_B.max())
    assert counts["anderson"] < counts["plain"] / 3 and counts["broyden"] < counts["plain"] / 3


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_small_numbers_are_solved_as_large_ones_are(method):
    """A gradient's size must not matter: a ridge that is not relative would swamp it."""
    function, start = problem(dtype=torch.float32)

    def scaled(z):
        return function()(z * 1e9) * 1e-9

    small = method(60, 1e-4).solve(scaled, start)
    large = method(60, 1e-4).solve(function(), start)
    assert (small.evaluations_B - large.evaluations_B).abs().max() <= 1  # rounding apart
    # both are solved to 1e-4 of |f(z)|, some 6, and the slowest row contracts by 0.9: 1e-4 x 6 / (1 - 0.9) at most
    torch.testing.assert_close(small.z * 1e9, large.z, rtol=0, atol=1e-2)


def test_the_lowest_residual_is_returned():
    values = iter([3.0, 1.0, 5.0, 2.0])
    solution = Plain(4, 0.0, relative=False).solve(lambda z: z + next(values), torch.zeros(1, 4))
    assert solution.residual_B.item() == 2.0  # |1, 1, 1, 1|: the second
    assert torch.equal(solution.z, torch.full((1, 4), 3.0))
    assert solution.evaluations_B.item() == 4 and not solution.converged_B.item()


def test_divergence_is_seen_and_stays_with_its_row():
    function, start = unstable([0.5, 1.5])
    solution = Plain(100, 1e-8).solve(function, start)
    assert solution.failed_B.tolist() == [False, True]
    assert solution.converged_B.tolist() == [True, False]
    assert solution.z.isfinite().all()
    assert solution.evaluations_B[1] < 30  # given up, long before an overflow


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_not_a_number_stays_with_its_row(method):
    inner, start = problem()
    calls = []

    def function(z):
        calls.append(1)
        f = inner()(z)
        return torch.cat([f[:2], f[2:3] * (torch.nan if len(calls) > 3 else 1), f[3:]])

    solution = method(60, 1e-6).solve(function, start)
    expected = method(60, 1e-6).solve(inner(), start)
    others = [0, 1, 3, 4]
    torch.testing.assert_close(solution.z[others], expected.z[others], rtol=0, atol=1e-12)
    assert solution.z.isfinite().all() and not solution.converged_B[2]


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_start_at_the_fixed_point(method):
    solution = method().solve(lambda z: z, torch.zeros(2, 3))
    assert solution.evaluations_B.tolist() == [1, 1] and solution.converged_B.all()
