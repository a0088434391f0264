"""The contract of a solver of z = f(z) for a batch of independent problems.

Shapes: B rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Solution:
    """What a solver reached, row by row.

    - `z` is each row's iterate of the lowest residual.
    - `evaluations_B` counts the evaluations of f that the row took.
    - `residual_B` is the residual of `z` in the solver's measure.
    - `converged_B` says whether that is within the tolerance.
    - `failed_B` says whether the solver failed on the row: neither within the tolerance nor near it.
    """

    z: Tensor
    evaluations_B: Tensor
    residual_B: Tensor
    converged_B: Tensor
    failed_B: Tensor


class Solver:
    """Finds fixed points. Each row of the batch is a problem of its own: its answer does not depend on the rows
    beside it."""

    def solve(self, function: Function, start: Tensor) -> Solution:
        """A fixed point of `function`, which maps (B, ...) to its like, from `start`. No gradient goes through it."""
        raise NotImplementedError
