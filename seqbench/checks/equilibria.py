"""The contract of a layer whose output is a fixed point, as checks. Each takes such a layer in float64 and raises
`AssertionError`.

Shapes: B rows, D numbers a row.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from seqbench.checks.closeness import require_close
from seqbench.checks.parameters import check_diagnostics_of, check_saving_of
from seqbench.contracts.fixed_point import FixedPoint
from seqbench.contracts.solver import Function

B, D = 4, 5
NEAR = 0.05  # of |z*|: what a solver of the default tolerance leaves is a tenth of that
ALIKE = 0.9  # cosine: a gradient of a few steps points where the exact one does
DEEP = 100  # applications of a map that halves distances


class Contraction(nn.Module):
    """f(z) = tanh(z W + x) / 2, which has one fixed point a row."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randn(D, D, generator=draw, dtype=torch.float64) / D**0.5)
        self.x_BD = torch.randn(B, D, generator=draw, dtype=torch.float64)

    def of_rows(self, rows: slice = slice(None)) -> Function:
        return lambda z_BD: (z_BD @ self.weight + self.x_BD[rows]).tanh() / 2


def _start(n_rows: int = B) -> Tensor:
    return torch.zeros(n_rows, D, dtype=torch.float64)


def check_fixed_point(layer: FixedPoint) -> None:
    """What comes out is a fixed point, in training and in evaluation, and the loss beside it a mean or nothing."""
    function = Contraction().of_rows()
    for training in (True, False):
        z_BD, aux = layer.train(training)(function, _start())
        assert z_BD.shape == (B, D), f"z* has the shape {tuple(z_BD.shape)}, not the start's"
        gap = float(((function(z_BD) - z_BD).norm() / z_BD.norm()).detach())
        assert gap < NEAR, f"z and f(z) are {gap:.2g} of z apart: it is no fixed point"
        assert aux is None or aux.dim() == 0, "the loss of its own is no single number"


def check_gradients(layer: FixedPoint) -> None:
    """The gradient of f's weights is about that of many applications of f, in its direction."""
    layer.train()
    mix_BD = torch.randn(B, D, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    solved, deep = Contraction(), Contraction()
    z_BD, _ = layer(solved.of_rows(), _start())
    assert z_BD.requires_grad, "no gradient goes through the solution"
    (z_BD * mix_BD).sum().backward()
    far_BD, function = _start(), deep.of_rows()
    for _ in range(DEEP):
        far_BD = function(far_BD)
    (far_BD * mix_BD).sum().backward()
    found, expected = solved.weight.grad, deep.weight.grad
    assert found is not None, "the weights of f have no gradient"
    assert expected is not None
    alike = float((found * expected).sum() / (found.norm() * expected.norm()))
    assert alike > ALIKE, f"the gradient's cosine to that of {DEEP} applications of f is {alike:.2f}"


def check_rows(layer: FixedPoint) -> None:
    """A row's answer does not depend on the rows beside it."""
    whole_BD, _ = layer.eval()(Contraction().of_rows(), _start())
    alone_BD, _ = layer(Contraction().of_rows(slice(1, 2)), _start(1))
    require_close(alone_BD[0], whole_BD[1], "a row's answer depends on the rows beside it")


def check_steps(layer: FixedPoint) -> None:
    """It may be told of a step, and its diagnostics have the same names each time and are reset by being read."""
    layer.train()(Contraction().of_rows(), _start())
    layer.after_step()
    check_diagnostics_of(layer.diagnostics)


def check_saving(make: Callable[[], FixedPoint]) -> None:
    """What it counts is saved with it: another one that loads it computes the same."""
    layer = make().double()
    for _ in range(3):
        layer.after_step()
    check_saving_of(layer, make().double(), lambda one: one.eval()(Contraction().of_rows(), _start())[0])


def checks(make: Callable[[], FixedPoint]) -> dict[str, Callable[[], None]]:
    """All of the contract by name."""

    def layer() -> FixedPoint:
        torch.manual_seed(0)
        return make().double()

    return {
        "fixed point": lambda: check_fixed_point(layer()),
        "gradients": lambda: check_gradients(layer()),
        "independent rows": lambda: check_rows(layer()),
        "steps and diagnostics": lambda: check_steps(layer()),
        "saving and loading": lambda: check_saving(make),
    }
