"""Anderson acceleration (Anderson 1965; Walker and Ni 2011).

    z <- sum_i a_i f(z_i) over the last M iterates,   a = argmin |sum_i a_i g_i|,   sum a = 1,   g = f(z) - z

The Gram matrix of the g_i gains one row a step.

Shapes: B rows, K numbers a row, M iterates remembered, N of them so far.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.contracts.ranges import Count, NotNegative
from seqbench.models.cells.equilibrium.iteration import Iteration, Proposal

RIDGE = 100  # of the Gram matrix of unit residuals, in the roundings that its entries are known to


class Anderson(Iteration):
    """`memory` is M; the other arguments are those of every iteration."""

    def __init__(self, max_steps: Count = 30, tolerance: NotNegative = 1e-3, relative: bool = True, memory: Count = 6):
        super().__init__(max_steps, tolerance, relative)
        self.memory = memory

    def begin(self, start_BK: Tensor) -> Proposal:
        return _Window(start_BK, self.memory)


class _Window:
    """A ring of the last M values and residuals of one solution, and the combination of them that comes next."""

    def __init__(self, start_BK: Tensor, memory: int):
        B, K = start_BK.shape
        self.f_BMK, self.g_BMK = start_BK.new_empty(B, memory, K), start_BK.new_empty(B, memory, K)
        self.gram_BMM = start_BK.new_zeros(B, memory, memory, dtype=torch.float64)
        self.n_seen = 0

    def __call__(self, z_BK: Tensor, f_BK: Tensor, g_BK: Tensor) -> Tensor:
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
