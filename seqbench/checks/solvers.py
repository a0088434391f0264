"""The contract of a solver of z = f(z) as checks. Each takes a solver and raises `AssertionError`."""

from __future__ import annotations

from collections.abc import Callable

import torch

from seqbench.checks.closeness import require_close
from seqbench.contracts.solver import Function, Solver

B, D = 4, 5


def _contraction(rows: slice) -> Function:
    """f(z) = tanh(z W + x) / 2 of some rows: each has one fixed point, which plain iteration finds."""
    draw = torch.Generator().manual_seed(1)
    weight_DD = torch.randn(D, D, generator=draw, dtype=torch.float64) / D**0.5
    x_BD = torch.randn(B, D, generator=draw, dtype=torch.float64)[rows]
    return lambda z_BD: (z_BD @ weight_DD + x_BD).tanh() / 2


def check_fixed_point(solver: Solver) -> None:
    """What a row is said to have converged to is a fixed point, and an easy problem converges."""
    function = _contraction(slice(None))
    solution = solver.solve(function, torch.zeros(B, D, dtype=torch.float64))
    assert bool(solution.converged_B.all()), "an easy problem does not converge"
    gap = float((function(solution.z) - solution.z).abs().max())
    assert gap < 0.1, f"z and f(z) are {gap:.2g} apart in a row that is said to have converged"
    for name in ("evaluations_B", "residual_B", "converged_B", "failed_B"):
        shape = tuple(getattr(solution, name).shape)
        assert shape == (B,), f"{name} has the shape {shape}, not one value a row"


def check_rows(solver: Solver) -> None:
    """A row's answer does not depend on the rows beside it."""
    whole = solver.solve(_contraction(slice(None)), torch.zeros(B, D, dtype=torch.float64))
    alone = solver.solve(_contraction(slice(1, 2)), torch.zeros(1, D, dtype=torch.float64))
    require_close(alone.z[0], whole.z[1], "a row's answer depends on the rows beside it")


def check_what_has_no_solution(solver: Solver) -> None:
    """Of f(z) = z^2 + 1, which has no fixed point, no row is said to have converged, and an iterate comes out."""
    solution = solver.solve(lambda z: z.square() + 1, torch.zeros(B, D, dtype=torch.float64))
    assert not bool(solution.converged_B.any()), "a row is said to have converged that has no fixed point"
    assert bool((solution.evaluations_B > 0).all()), "evaluations_B does not count the evaluations of f"
    assert bool(solution.z.isfinite().all()), "where there is no fixed point, what comes out is not finite"


def check_no_gradient(solver: Solver) -> None:
    """No gradient goes through the solution."""
    start = torch.zeros(B, D, dtype=torch.float64, requires_grad=True)
    solution = solver.solve(_contraction(slice(None)), start)
    assert not solution.z.requires_grad, "the solution has a graph, which grows with the solver's steps"


def checks(make: Callable[[], Solver]) -> dict[str, Callable[[], None]]:
    """All of the contract by name."""
    return {
        "fixed point": lambda: check_fixed_point(make()),
        "independent rows": lambda: check_rows(make()),
        "no solution": lambda: check_what_has_no_solution(make()),
        "no gradient": lambda: check_no_gradient(make()),
    }
