"""uRNN's unitary matrix of O(N) parameters, a product that takes O(N log N) (Arjovsky, Shah, Bengio 2016, eq. 6).

    W = D3 R2 F^-1 D2 P R1 F D1         D = diag(e^{i theta}),  R = I - 2 v v^H / |v|^2,  P a permutation

F is the unitary Fourier transform. Shapes: B batch, N units, H = 2 N the numbers of a state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from seqbench.models.cells.maps.complex_pairs import real_matrix, to_complex, to_pairs


class Fourier:
    """The map of theta (3, N), the complex v (2, N), and the order in which P takes numbers: out_j = in_{order_j}.

    Its constants are computed in float64 whatever the parameters' type, and rounded once: an error in W is repeated
    at each of 1,000 steps.
    """

    def __init__(self, theta_3N: Tensor, v_2N: Tensor, order_N: Tensor):
        self._dtype = theta_3N.dtype if theta_3N.dtype == torch.float64 else torch.float32
        theta_3N, v_2N = theta_3N.double(), v_2N.to(torch.complex128)
        self.diagonals_3N = torch.polar(torch.ones_like(theta_3N), theta_3N)
        self.units_2N = v_2N / v_2N.abs().square().sum(1, keepdim=True).sqrt()
        self.order_N = order_N
        n = theta_3N.shape[1]
        self.width = 2 * n
        self.padded = math.ceil(self.width / 16) * 16
        self.is_compiled = n & (n - 1) == 0
        reversed_N = (_bit_reversed(n) if self.is_compiled else torch.arange(n)).to(order_N.device)
        # what stands between the two transforms, as cpp/unitary.h has it: in bit-reversed order
        d1_N, d2_N, d3_N = self.diagonals_3N
        u1_N, u2_N = self.units_2N
        packed_5N = torch.stack([d1_N, d2_N[reversed_N], d3_N, u1_N[reversed_N], u2_N])
        self.weight = torch.stack([packed_5N.real, packed_5N.imag], 1).to(self._dtype)
        permutation_N = reversed_N[order_N[reversed_N]]
        self.factors: Mapping[str, int | Tensor] = {"P": 0, "Q": 0, "complex": 1, "permutation": permutation_N}

    def apply(self, h_BH: Tensor) -> Tensor:
        return to_pairs(self._apply(to_complex(h_BH)))

    def dense(self) -> Tensor:
        """W as a real matrix (H, H) for row vectors."""
        identity_NN = torch.eye(self.width // 2, dtype=torch.complex128, device=self.order_N.device)
        return real_matrix(self._apply(identity_NN)).to(self._dtype)

    def _apply(self, z_BN: Tensor) -> Tensor:
        d1_N, d2_N, d3_N = self.diagonals_3N.to(z_BN.dtype)
        u1_N, u2_N = self.units_2N.to(z_BN.dtype)
        z_BN = _reflect(torch.fft.fft(z_BN * d1_N, norm="ortho"), u1_N)
        z_BN = torch.fft.ifft(z_BN[:, self.order_N] * d2_N, norm="ortho")
        return _reflect(z_BN, u2_N) * d3_N


def _reflect(z_BN: Tensor, u_N: Tensor) -> Tensor:
    """Rows z (I - 2 u u^H)^T, |u| = 1."""
    return z_BN - 2 * (z_BN @ u_N.conj())[:, None] * u_N


def _bit_reversed(n: int) -> Tensor:
    """Where a transform by decimation in frequency leaves its numbers; n is a power of two."""
    reversed_N = torch.zeros(1, dtype=torch.long)
    while len(reversed_N) < n:
        reversed_N = torch.cat([2 * reversed_N, 2 * reversed_N + 1])
    return reversed_N
