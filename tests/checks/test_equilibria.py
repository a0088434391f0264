"""The contracts of equilibria and solvers: of all that there are, and of some that break them, which is noticed."""

import functools

import pytest
import torch

from seqbench.checks import equilibria, solvers
from seqbench.contracts.fixed_point import FixedPoint
from seqbench.contracts.solver import Solution, Solver
from seqbench.models.cells.equilibrium.anderson import Anderson
from seqbench.models.cells.equilibrium.broyden import Broyden
from seqbench.models.cells.equilibrium.implicit import Equilibrium
from seqbench.models.cells.equilibrium.plain import Plain

SOLVERS = {"plain": Plain, "anderson": Anderson, "broyden": Broyden}
EQUILIBRIA = {
    **{name: functools.partial(Equilibrium, forward=solver, backward=solver) for name, solver in SOLVERS.items()},
    "phantom": functools.partial(Equilibrium, gradient="phantom"),
    "jacobian": functools.partial(Equilibrium, jacobian_weight=0.5, jacobian_growth_steps=2),
}


@pytest.mark.parametrize("relative", [True, False])
@pytest.mark.parametrize("name", SOLVERS)
def test_contract_of_a_solver(name, relative):
    for check in solvers.checks(lambda: SOLVERS[name](relative=relative)).values():
        check()


@pytest.mark.parametrize("name", EQUILIBRIA)
def test_contract_of_an_equilibrium(name):
    for check in equilibria.checks(EQUILIBRIA[name]).values():
        check()


class Hasty(Solver):
    """Forty applications of the function; wrong in one way."""

    def __init__(self, fault=None):
        self.fault = fault

    def solve(self, function, start):
        z = start if self.fault == "graph" else start.detach()
        with torch.set_grad_enabled(self.fault == "graph"):
            for _ in range(1 if self.fault == "too few" else 40):
                z = function(z).clamp(-1e6, 1e6)
            if self.fault == "rows":
                z = z + 0.01 * (z - z.mean(0, keepdim=True))
            residual_B = (function(z) - z).detach().flatten(1).norm(dim=1)
        small_B = residual_B < (torch.inf if self.fault in ("liar", "too few") else 0.1)
        n_B = torch.full_like(residual_B, 40)
        return Solution(z, n_B.sum() if self.fault == "one count" else n_B, residual_B, small_B, ~small_B)


OF_SOLVERS = [
    ("too few", "fixed point", r"z and f\(z\) are \S+ apart in a row that is said to have converged"),
    ("one count", "fixed point", r"evaluations_B has the shape \(\), not one value a row"),
    ("rows", "independent rows", "a row's answer depends on the rows beside it: they are up to"),
    ("liar", "no solution", "a row is said to have converged that has no fixed point"),
    ("graph", "no gradient", "the solution has a graph"),
]


@pytest.mark.parametrize(("fault", "name", "sentence"), OF_SOLVERS, ids=[fault for fault, _, _ in OF_SOLVERS])
def test_a_fault_of_a_solver_is_noticed(fault, name, sentence):
    solvers.checks(Hasty)[name]()
    with pytest.raises(AssertionError, match=sentence):
        solvers.checks(lambda: Hasty(fault))[name]()


class Unrolled(FixedPoint):
    """Thirty applications of the function, with their graph; wrong in one way."""

    def __init__(self, fault=None):
        super().__init__()
        self.fault, self.n_steps, self.n_solved = fault, 0, 0

    def forward(self, function, start):
        z = start
        for _ in range(1 if self.fault == "too few" else 30):
            z = function(z)
        self.n_solved += 1
        if self.fault == "no gradient":
            z = z.detach()
        if self.fault == "other gradient":
            z = z.detach() - 0.1 * (function(z) - function(z).detach())
        if self.fault == "rows":
            z = z + 0.001 * (z - z.mean(0, keepdim=True))
        if self.fault == "unsaved":
            z = z + 1e-6 * self.n_steps
        return z, z.sum(1) if self.fault == "aux" else None

    def after_step(self):
        self.n_steps += 1

    def diagnostics(self):
        return {"solved": (float(self.n_solved), self.n_solved)} if self.fault == "diagnostics" else {}


OF_EQUILIBRIA = [
    ("too few", "fixed point", "of z apart: it is no fixed point"),
    ("aux", "fixed point", "the loss of its own is no single number"),
    ("no gradient", "gradients", "no gradient goes through the solution"),
    ("other gradient", "gradients", "the gradient's cosine to that of 100 applications of f is -"),
    ("rows", "independent rows", "a row's answer depends on the rows beside it"),
    ("diagnostics", "steps and diagnostics", "reading the diagnostics does not reset them"),
    ("unsaved", "saving and loading", "the loaded model computes something else"),
]


@pytest.mark.parametrize(("fault", "name", "sentence"), OF_EQUILIBRIA, ids=[fault for fault, _, _ in OF_EQUILIBRIA])
def test_a_fault_of_an_equilibrium_is_noticed(fault, name, sentence):
    equilibria.checks(Unrolled)[name]()
    with pytest.raises(AssertionError, match=sentence):
        equilibria.checks(lambda: Unrolled(fault))[name]()
