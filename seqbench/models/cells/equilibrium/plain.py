"""Plain iteration: z <- f(z).

Shapes: B rows, K numbers a row.
"""

from __future__ import annotations

from torch import Tensor

from seqbench.contracts.ranges import Count, NotNegative
from seqbench.models.cells.equilibrium.iteration import Iteration, Proposal


class Plain(Iteration):
    """Converges where f contracts, and nowhere else."""

    def __init__(self, max_steps: Count = 30, tolerance: NotNegative = 1e-3, relative: bool = True):
        super().__init__(max_steps, tolerance, relative)

    def begin(self, start_BK: Tensor) -> Proposal:
        return lambda z_BK, f_BK, g_BK: f_BK
