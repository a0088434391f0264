"""The scaled Cayley transform: every orthogonal matrix from a skew-symmetric one (Helfrich, Willmott, Ye 2018).

    W = (I + A)^{-1} (I - A) D,   A^T = -A,   D = diag(+-1) fixed

The trainable numbers are the entries of A above its diagonal, so A stays skew and W orthogonal under any optimizer, and
an elementwise optimizer moves them exactly as the authors' update of the full A does.

Shapes: N the width, K = N (N - 1) / 2 the entries above the diagonal.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def skew_matrix(entries_K: Tensor, n: int) -> Tensor:
    """The skew-symmetric (N, N) matrix with `entries_K` above its diagonal, row by row."""
    row_K, column_K = torch.triu_indices(n, n, offset=1, device=entries_K.device)
    upper_NN = entries_K.new_zeros(n, n).index_put((row_K, column_K), entries_K)
    return upper_NN - upper_NN.T


def scaled_cayley(entries_K: Tensor, sign_N: Tensor) -> Tensor:
    """W (N, N), orthogonal. Solved in float64 whatever the parameters' type, as the authors' code does: in float32 the
    rounding of 1,000 products with W would not stay orthogonal, and bfloat16 has no solver."""
    n = sign_N.shape[0]
    skew_NN = skew_matrix(entries_K.double(), n)
    identity_NN = torch.eye(n, dtype=torch.float64, device=entries_K.device)
    rotation_NN = torch.linalg.solve(identity_NN + skew_NN, identity_NN - skew_NN)
    dtype = entries_K.dtype if entries_K.dtype == torch.float64 else torch.float32
    return (rotation_NN * sign_N.double()).to(dtype)


def block_rotations(n: int, max_angle: float = math.pi / 2) -> Tensor:
    """Initial `entries_K`: 2x2 blocks [[0, s], [-s, 0]], s = tan(t / 2), t ~ U(0, max_angle), on the diagonal of A; the
    eigenvalues of (I + A)^{-1} (I - A) are then exp(+-i t). An odd width leaves a last row of zeros."""
    upper_NN = torch.zeros(n, n)
    even = torch.arange(0, n - 1, 2)
    upper_NN[even, even + 1] = torch.tan(torch.rand(len(even)) * max_angle / 2)
    row_K, column_K = torch.triu_indices(n, n, offset=1)
    return upper_NN[row_K, column_K]
