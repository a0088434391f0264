"""Solvers of z = f(z) for a batch of independent problems: plain iteration, Anderson acceleration, Broyden's method.

Each row of the batch is a problem of its own: it stops by its own residual, and its answer and its number of
evaluations do not depend on the rows beside it. f maps all rows at once, those that have stopped too, in vain. The a_i,
what B is made of and the iterate that is chosen are a whole row's: where a sequence has not converged, a position feels
a little of the later ones.

    plain     z <- f(z)
    anderson  z <- sum_i a_i f(z_i) over the last M iterates, a = argmin |sum_i a_i g_i|, sum a = 1      (Anderson 1965;
              Walker and Ni 2011). g = f(z) - z; the Gram matrix of the g_i gains one row a step
    broyden   z <- z - B g, B ~ the inverse Jacobian of g: -1 plus M products u v^T ("good Broyden", limited memory;
              Broyden 1965, Bai, Kolter, Koltun 2019, arXiv 1909.01377)

Shapes: B rows, K numbers a row, M iterates remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

RIDGE = 100  # Anderson: of the Gram matrix of unit residuals, in the roundings that its entries are known to
GROWTH = 1e3  # a row whose residual has grown this much is given up
# a row has failed that is neither within its tolerance, nor ever at half its first residual, nor at a tenth of |f(z)|
HALF, TENTH = 0.5, 0.1


@dataclass(frozen=True)
class Solver:
    """How to solve. `tolerance` is that of |f(z) - z| / |f(z)|, or of |f(z) - z| where not `relative`; `max_steps`
    bounds the evaluations of f, `memory` is M."""

    method: str = "anderson"
    max_steps: int = 30
    tolerance: float = 1e-3
    relative: bool = True
    memory: int = 6

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"a solver is one of {', '.join(METHODS)}, not {self.method!r}")
        if self.max_steps < 1 or self.memory < 1:
            raise ValueError(f"a solver's steps and memory are at least 1, not {self.max_steps} and {self.memory}")


@dataclass(frozen=True)
class Solution:
    """`z` is each row's iterate of the lowest residual; `evaluations_B` those of f that the row took, `residual_B` in
    the solver's measure, `converged_B` whether it is within the tolerance, `failed_B` whether it got nowhere."""

    z: Tensor
    evaluations_B: Tensor
    residual_B: Tensor
    converged_B: Tensor
    failed_B: Tensor


@torch.no_grad()
def solve(function: Callable[[Tensor], Tensor], start: Tensor, solver: Solver) -> Solution:
    """A fixed point of `function`, which maps (B, ...) to its like, from `start`."""
    z_BK = best_BK = start.flatten(1)
    method = METHODS[solver.method](z_BK, solver.memory)
    B, tiny = len(start), torch.finfo(start.dtype).tiny
    evaluations_B = torch.zeros(B, dtype=torch.long, device=start.device)
    lowest_B, smallest_B, share_B, first_B = (start.new_full((B,), torch.inf) for _ in range(4))
    done_B = torch.zeros(B, dtype=torch.bool, device=start.device)
    for step in range(solver.max_steps):
        f_BK = function(z_BK.view_as(start)).flatten(1)
        g_BK = f_BK - z_BK
        size_B = torch.linalg.vector_norm(g_BK, dim=1)
        relative_B = size_B / torch.linalg.vector_norm(f_BK, dim=1).clamp_min(tiny)
        residual_B = relative_B if solver.relative else size_B
        first_B = size_B if step == 0 else first_B
        evaluations_B += ~done_B
        better_B = ~done_B & (residual_B < lowest_B)
        best_BK = torch.where(better_B[:, None], z_BK, best_BK)
        lowest_B = torch.where(better_B, residual_B, lowest_B)
        smallest_B = torch.where(better_B, torch.fmin(size_B, smallest_B), smallest_B)
        share_B = torch.where(better_B, relative_B, share_B)
        done_B |= (residual_B <= solver.tolerance) | ~(size_B <= GROWTH * first_B)
        if step + 1 == solver.max_steps or bool(done_B.all()):
            break
        z_BK = method.propose(z_BK, f_BK, g_BK)
    converged_B = lowest_B <= solver.tolerance
    failed_B = ~converged_B & ~(smallest_B < HALF * first_B) & ~(share_B < TENTH)
    return Solution(best_BK.view_as(start), evaluations_B, lowest_B, converged_B, failed_B)


class Plain:
    """z <- f(z)."""

    def __init__(self, start_BK: Tensor, memory: int):
        pass

    def propose(self, z_BK: Tensor, f_BK: Tensor, g_BK: Tensor) -> Tensor:
        return f_BK


class Anderson:
    """Anderson acceleration with a ring of the last M values and residuals."""

    def __init__(self, start_BK: Tensor, memory: int):
        B, K = start_BK.shape
        self.f_BMK, self.g_BMK = start_BK.new_empty(B, memory, K), start_BK.new_empty(B, memory, K)
        self.gram_BMM = start_BK.new_zeros(B, memory, memory, dtype=torch.float64)
        self.n_seen = 0

    def propose(self, z_BK: Tensor, f_BK: Tensor, g_BK: Tensor) -> Tensor:
        memory = self.f_BMK.shape[1]
        slot, self.n_seen = self.n_seen % memory, self.n_seen + 1
        n = min(self.n_seen, memory)
        self.f_BMK[:, slot], self.g_BMK[:, slot] = f_BK, g_BK
        row_BN = torch.bmm(self.g_BMK[:, :n], g_BK.unsqueeze(2)).squeeze(2).double()
        self.gram_BMM[:, slot, :n] = self.gram_BMM[:, :n, slot] = row_BN
        ridge = RIDGE * torch.finfo(f_BK.dtype).eps
        weight_BN = _weights(self.gram_BMM[:, :n, :n], slot, ridge).to(f_BK.dtype)
        return torch.bmm(weight_BN.unsqueeze(1), self.f_BMK[:, :n]).squeeze(1)


def _weights(gram_BNN: Tensor, newest: int, ridge: float) -> Tensor:
    """argmin |sum_i a_i g_i|^2 with sum a = 1, the g_i scaled to length 1 first: residuals of a later step are smaller
    by orders of magnitude, and a ridge that suits the old ones would drown them. Where there is no such minimum, the
    newest iterate alone, which is a step of plain iteration."""
    scale_BN = gram_BNN.diagonal(dim1=1, dim2=2).rsqrt()
    unit_BNN = gram_BNN * scale_BN.unsqueeze(1) * scale_BN.unsqueeze(2)
    unit_BNN.diagonal(dim1=1, dim2=2).add_(ridge)
    factor_BNN, info_B = torch.linalg.cholesky_ex(unit_BNN)
    weight_BN = torch.cholesky_solve(scale_BN.unsqueeze(2), factor_BNN).squeeze(2) * scale_BN
    weight_BN = weight_BN / weight_BN.sum(1, keepdim=True)
    sound_B = (info_B == 0) & weight_BN.isfinite().all(1)
    alone_N = torch.zeros_like(weight_BN[0])
    alone_N[newest] = 1
    return torch.where(sound_B[:, None], weight_BN, alone_N)


class Broyden:
    """Broyden's method. Once M products are kept it begins anew from where it stands: to forget the oldest one alone
    was slower in all that was tried, by up to four times.

    The product u v^T that makes B map the residual's change y to the step s has v = B^T s, u = (s - B y) / (v . y).
    Since s was -B g, s - B y is -B times the new g: B is applied once a step, B^T once.
    """

    def __init__(self, start_BK: Tensor, memory: int):
        B, K = start_BK.shape
        self.u_BMK, self.v_BMK = start_BK.new_empty(B, memory, K), start_BK.new_empty(B, memory, K)
        self.n = -1  # products known; -1: no step is

    def propose(self, z_BK: Tensor, f_BK: Tensor, g_BK: Tensor) -> Tensor:
        if 0 <= self.n < self.u_BMK.shape[1]:
            self.step_BK = -self._learn(g_BK)
        else:
            self.n, self.step_BK = 0, g_BK
        self.g_BK = g_BK
        return z_BK + self.step_BK

    def _learn(self, g_BK: Tensor) -> Tensor:
        """B g with the new product among them. A row where that is not a number learns nothing."""
        u_BNK, v_BNK = self.u_BMK[:, : self.n], self.v_BMK[:, : self.n]
        v_BK, before_BK = _product(self.step_BK, u_BNK, v_BNK), _product(g_BK, v_BNK, u_BNK)
        u_BK = before_BK / (v_BK * (self.g_BK - g_BK)).sum(1, keepdim=True)
        sound_B1 = (u_BK.sum(1, keepdim=True) + v_BK.sum(1, keepdim=True)).isfinite()
        u_BK, v_BK = torch.where(sound_B1, u_BK, 0), torch.where(sound_B1, v_BK, 0)
        self.u_BMK[:, self.n], self.v_BMK[:, self.n] = u_BK, v_BK
        self.n += 1
        return torch.addcmul(before_BK, u_BK, (v_BK * g_BK).sum(1, keepdim=True))


def _product(x_BK: Tensor, left_BNK: Tensor, right_BNK: Tensor) -> Tensor:
    """-x + sum_i (x . left_i) right_i."""
    if left_BNK.shape[1] == 0:
        return -x_BK
    dots_B1N = torch.bmm(left_BNK, x_BK.unsqueeze(2)).transpose(1, 2)
    return torch.baddbmm(x_BK.unsqueeze(1), dots_B1N, right_BNK, beta=-1).squeeze(1)


METHODS = {"plain": Plain, "anderson": Anderson, "broyden": Broyden}
