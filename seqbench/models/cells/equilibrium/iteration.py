"""Iterative solvers of z = f(z): when a row of the batch stops, and which of its iterates is its answer.

Each row is a problem of its own: it stops by its own residual, and its answer and its number of evaluations do not
depend on the rows beside it. f maps all rows at once, those that have stopped too, in vain. How the next iterate is
made is a whole row's affair: where a sequence has not converged, a position feels a little of the later ones.

Shapes: B rows, K numbers a row.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seqbench.contracts.solver import Function, Solution, Solver

Proposal = Callable[[Tensor, Tensor, Tensor], Tensor]  # (z, f(z), f(z) - z) -> the next iterate, each (B, K)
GROWTH = 1e3  # a row whose residual has grown this much is given up
# a row has failed that is neither within its tolerance, nor ever at half its first residual, nor at a tenth of |f(z)|
HALF, TENTH = 0.5, 0.1


class Iteration(Solver):
    """At most `max_steps` evaluations of f, until |f(z) - z| / |f(z)|, or |f(z) - z| where not `relative`, is at most
    `tolerance`. A subclass defines `begin`."""

    def __init__(self, max_steps: int, tolerance: float, relative: bool):
        self.max_steps, self.tolerance, self.relative = max_steps, tolerance, relative

    def begin(self, start_BK: Tensor) -> Proposal:
        """How the next iterate follows from the one before, for a solution that begins here."""
        raise NotImplementedError

    @torch.no_grad()
    def solve(self, function: Function, start: Tensor) -> Solution:
        z_BK = best_BK = start.flatten(1)
        propose = self.begin(z_BK)
        B, tiny = len(start), torch.finfo(start.dtype).tiny
        evaluations_B = torch.zeros(B, dtype=torch.long, device=start.device)
        lowest_B, smallest_B, share_B, first_B = (start.new_full((B,), torch.inf) for _ in range(4))
        done_B = torch.zeros(B, dtype=torch.bool, device=start.device)
        for step in range(self.max_steps):
            f_BK = function(z_BK.view_as(start)).flatten(1)
            g_BK = f_BK - z_BK
            size_B = torch.linalg.vector_norm(g_BK, dim=1)
            relative_B = size_B / torch.linalg.vector_norm(f_BK, dim=1).clamp_min(tiny)
            residual_B = relative_B if self.relative else size_B
            first_B = size_B if step == 0 else first_B
            evaluations_B += ~done_B
            better_B = ~done_B & (residual_B < lowest_B)
            best_BK = torch.where(better_B[:, None], z_BK, best_BK)
            lowest_B = torch.where(better_B, residual_B, lowest_B)
            smallest_B = torch.where(better_B, torch.fmin(size_B, smallest_B), smallest_B)
            share_B = torch.where(better_B, relative_B, share_B)
            done_B |= (residual_B <= self.tolerance) | ~(size_B <= GROWTH * first_B)
            if step + 1 == self.max_steps or bool(done_B.all()):
                break
            z_BK = propose(z_BK, f_BK, g_BK)
        converged_B = lowest_B <= self.tolerance
        failed_B = ~converged_B & ~(smallest_B < HALF * first_B) & ~(share_B < TENTH)
        return Solution(best_BK.view_as(start), evaluations_B, lowest_B, converged_B, failed_B)
