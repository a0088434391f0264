"""Broyden's method with limited memory ("good Broyden"; Broyden 1965; Bai, Kolter, Koltun 2019, arXiv 1909.01377).

    z <- z - B g,   g = f(z) - z,   B ~ the inverse Jacobian of g: -1 plus M products u v^T

The product u v^T that makes B map the residual's change y to the step s has v = B^T s, u = (s - B y) / (v . y). Since s
was -B g, s - B y is -B times the new g: B is applied once a step, B^T once.

Shapes: B rows, K numbers a row, M products remembered, N of them so far.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.contracts.ranges import Count, NotNegative
from seqbench.models.cells.equilibrium.iteration import Iteration, Proposal


class Broyden(Iteration):
    """`memory` is M; the other arguments are those of every iteration. With M products it begins anew from where it
    stands: to forget the oldest one alone was slower in all that was tried, by up to four times."""

    def __init__(self, max_steps: Count = 30, tolerance: NotNegative = 1e-3, relative: bool = True, memory: Count = 6):
        super().__init__(max_steps, tolerance, relative)
        self.memory = memory

    def begin(self, start_BK: Tensor) -> Proposal:
        return _Products(start_BK, self.memory)


class _Products:
    """The products of one solution, and the step that they propose."""

    def __init__(self, start_BK: Tensor, memory: int):
        B, K = start_BK.shape
        self.u_BMK, self.v_BMK = start_BK.new_empty(B, memory, K), start_BK.new_empty(B, memory, K)
        self.n = -1  # products known; -1: no step is

    def __call__(self, z_BK: Tensor, f_BK: Tensor, g_BK: Tensor) -> Tensor:
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
