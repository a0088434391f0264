"""The contract of a layer whose output is a fixed point."""

from __future__ import annotations

from torch import Tensor, nn

from seqbench.contracts.solver import Function


class FixedPoint(nn.Module):
    """A layer that solves z = f(z) and differentiates through the solution. `forward(function, start)` maps f and
    (B, ...) to (z*, aux): aux is a loss of its own to be added, a mean over the rows, or None. f must be the same
    function at every application: what is random in it is drawn before."""

    def forward(self, function: Function, start: Tensor) -> tuple[Tensor, Tensor | None]:
        raise NotImplementedError

    def after_step(self) -> None:
        """As a backbone's."""

    def diagnostics(self) -> dict[str, tuple[float, float]]:
        """As a backbone's."""
        return {}
