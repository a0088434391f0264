"""The fixed point of a block as a layer (Bai, Kolter, Koltun 2019, arXiv 1909.01377; 2021, arXiv 2106.14342).

    z* = f(z*)      dl/dtheta = u df/dtheta,   u = u J + dl/dz*,   J = df/dz at z*          (implicit differentiation)

The root is found without a graph; f is applied to it once more with one, which serves both the solver of u, by
vector-Jacobian products, and the last step to the parameters. So memory does not grow with the solvers' steps. What
goes on is that last application, f(z*), in training and evaluation alike.

f may have several fixed points. Which one is found then depends on the solver, and on whether a sequence is solved at
once, as in training, or position by position, as a translation is. Where the Jacobian's loss makes f contract, there is
one.

Shapes: B batch; z is (B, ...).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqbench.contracts.fixed_point import FixedPoint
from seqbench.contracts.ranges import Count, NotNegative, NotNegativeInt, OneOf, Share
from seqbench.contracts.solver import Function, Solution, Solver
from seqbench.models.cells.equilibrium.anderson import Anderson

GROWTH = 0.1  # of the Jacobian loss's weight, every `jacobian_growth_steps`, as in the authors' code
NAMES = (
    *("forward_evaluations", "forward_residual", "forward_unconverged", "forward_failed"),
    *("backward_evaluations", "backward_residual", "backward_unconverged", "backward_failed"),
)


class Equilibrium(FixedPoint):
    """`forward(f, start)` gives (z*, aux): aux is the Jacobian's loss, or None.

    - `forward` and `backward` make the solvers of z* and of u.
    - `gradient` is "implicit", or "phantom": through `phantom_steps` steps z <- (1 - damping) z + damping f(z) from z*
      (Geng et al. 2021, arXiv 2111.05177).
    - `jacobian_weight` is the weight of |v^T J|^2 / numel(z), v ~ N(0, I), which is added in a share
      `jacobian_probability` of the training passes; it grows by 0.1 every `jacobian_growth_steps` (null: never).
    - During the first `pretrain_steps` optimizer steps f is applied `pretrain_layers` times instead.
    - `on_failure`: where the solver fails on a sequence, "stop" with a `FloatingPointError`, or "continue" with its
      best iterate; either way it counts in `diagnostics`.
    """

    def __init__(
        self,
        forward: Callable[..., Solver] = Anderson,
        backward: Callable[..., Solver] = Anderson,
        gradient: Annotated[str, OneOf("implicit", "phantom")] = "implicit",
        phantom_steps: Count = 5,
        damping: Share = 0.8,
        jacobian_weight: NotNegative = 0.0,
        jacobian_probability: Share = 1.0,
        jacobian_growth_steps: Count | None = None,
        pretrain_steps: NotNegativeInt = 0,
        pretrain_layers: Count = 2,
        on_failure: Annotated[str, OneOf("stop", "continue")] = "continue",
    ):
        super().__init__()
        self.forward_solver, self.backward_solver = forward(), backward()
        self.gradient, self.phantom_steps, self.damping = gradient, phantom_steps, damping
        self.jacobian_weight, self.jacobian_probability = jacobian_weight, jacobian_probability
        self.jacobian_growth_steps = jacobian_growth_steps
        self.pretrain_steps, self.pretrain_layers, self.on_failure = pretrain_steps, pretrain_layers, on_failure
        self.n_steps: Tensor
        self.register_buffer("n_steps", torch.zeros((), dtype=torch.long))  # in the checkpoint, as it must be
        self._sums: dict[str, list] = {}

    def forward(self, function: Function, start: Tensor) -> tuple[Tensor, Tensor | None]:
        def exact(z: Tensor) -> Tensor:
            return function(z).to(start.dtype)  # the solver's sums need float32 under autocast

        if int(self.n_steps) < self.pretrain_steps:
            z = start
            for _ in range(self.pretrain_layers):
                z = exact(z)
            return z, None
        solution = self.forward_solver.solve(exact, start)
        self._count("forward", solution)
        if not torch.is_grad_enabled():
            return exact(solution.z), None
        if self.gradient == "phantom":
            z = solution.z
            for _ in range(self.phantom_steps):
                z = torch.lerp(z, exact(z), self.damping)
            return z, self._jacobian_loss(exact, None, solution.z)
        z = solution.z.detach().requires_grad_()
        y = exact(z)
        aux = self._jacobian_loss(exact, y, z)
        return _Implicit.apply(y, _Adjoint(self, y, z)), aux  # type: ignore[return-value]

    def _jacobian_loss(self, function: Function, y: Tensor | None, z: Tensor) -> Tensor | None:
        weight = self.jacobian_weight
        if not self.training or weight == 0 or float(torch.rand(())) >= self.jacobian_probability:
            return None
        if self.jacobian_growth_steps is not None:
            weight += GROWTH * (int(self.n_steps) // self.jacobian_growth_steps)
        if y is None:
            z = z.detach().requires_grad_()
            y = function(z)
        (product,) = torch.autograd.grad(y, z, torch.randn_like(z), create_graph=True)
        return weight * product.square().mean()

    def after_step(self) -> None:
        self.n_steps += 1

    def diagnostics(self) -> dict[str, tuple[float, float]]:
        """Means over sequences since last asked, as (sum, count): evaluations that the solvers took, the residuals they
        left, the shares of sequences that are not within the tolerance and of those on which a solver failed."""
        sums, self._sums = self._sums, {}
        return {name: (float(sums[name][0]), float(sums[name][1])) if name in sums else (0.0, 0.0) for name in NAMES}

    def _count(self, way: str, solution: Solution) -> None:
        for name, value_B in [
            ("evaluations", solution.evaluations_B),
            ("residual", solution.residual_B),
            ("unconverged", ~solution.converged_B),
            ("failed", solution.failed_B),
        ]:
            total = self._sums.setdefault(f"{way}_{name}", [0.0, 0])
            total[0] = total[0] + value_B.double().sum()
            total[1] += len(value_B)
        n_failed = int(solution.failed_B.sum()) if self.on_failure == "stop" else 0
        if n_failed:
            worst = float(solution.residual_B.max())
            raise FloatingPointError(
                f"The {way} solver failed on {n_failed} of {len(solution.failed_B)} sequences (residual "
                f"{worst:.2g}). A lower learning rate, equilibrium.jacobian_weight or equilibrium.pretrain_steps may "
                "help; equilibrium.on_failure=continue goes on with the best iterate."
            )


class _Adjoint:
    """The solver of u: keeps y's graph until the backward pass has gone through it."""

    def __init__(self, layer: Equilibrium, y: Tensor, z: Tensor):
        self.layer, self.y, self.z = layer, y, z

    def solve(self, gradient: Tensor) -> Tensor:
        def step(u: Tensor) -> Tensor:
            return torch.autograd.grad(self.y, self.z, u, retain_graph=True)[0] + gradient

        if not gradient.isfinite().all():  # of a loss that is not, or scaled too far: nothing to solve, nor a failure
            return gradient
        solution = self.layer.backward_solver.solve(step, gradient)
        self.layer._count("backward", solution)
        return solution.z


class _Implicit(torch.autograd.Function):
    """The identity, whose backward pass puts u in the gradient's place. A node of its own above y: a hook on y would be
    called by its own vector-Jacobian products."""

    @staticmethod
    def forward(ctx, y: Tensor, adjoint: _Adjoint) -> Tensor:
        ctx.adjoint = adjoint
        return y.view_as(y)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.adjoint.solve(gradient), None
