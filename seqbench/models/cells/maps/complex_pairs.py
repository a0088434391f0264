"""Complex numbers as pairs of reals: how states and matrices of complex recurrences are kept.

A complex state of N units is a row (real parts, then imaginary parts) of 2 N numbers. Shapes: B batch, N units.
"""

from __future__ import annotations

import torch
from torch import Tensor


def to_complex(h_BH: Tensor) -> Tensor:
    """(B, N) complex of a state (B, 2 N)."""
    return torch.complex(*h_BH.chunk(2, -1))


def to_pairs(z_BN: Tensor) -> Tensor:
    """(B, 2 N) of (B, N) complex."""
    return torch.cat([z_BN.real, z_BN.imag], -1)


def real_matrix(w_NN: Tensor) -> Tensor:
    """The real matrix (2 N, 2 N) that does to a state what the complex `w_NN` does; both for row vectors."""
    return torch.cat([torch.cat([w_NN.real, w_NN.imag], 1), torch.cat([-w_NN.imag, w_NN.real], 1)])
