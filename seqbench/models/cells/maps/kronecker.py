"""Kronecker products of small square matrices as linear maps of a state (Jose, Cisse, Fleuret 2018, arXiv 1705.10142).

    h -> (W_0 (x) ... (x) W_{F-1}) h

On a CPU the full W is never made. The factors are merged into two, A (P x P) and C (Q x Q), and a state, as a matrix X
(P x Q), becomes A X C^T: two small products, where factor by factor there are F, each too small to be worth its start.

Shapes: B batch, F factors of sizes P_f, N their product; the state's width H is N, or 2 N for complex factors (real
parts, then imaginary parts).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from seqbench.models.cells.maps.complex_pairs import real_matrix, to_complex, to_pairs

VECTOR = 16  # numbers that a processor handles at once: a row shorter than that costs as much


class Kronecker:
    """The map of `factors`, each (P_f, P_f), all real or all complex; the first varies slowest, as in `torch.kron`."""

    def __init__(self, factors: Sequence[Tensor]):
        sizes = [len(factor) for factor in factors]
        split = _best_split(sizes)
        identity_11 = torch.ones(1, 1, dtype=factors[0].dtype, device=factors[0].device)
        self.a_PP = functools.reduce(torch.kron, factors[:split], identity_11)
        self.c_QQ = functools.reduce(torch.kron, factors[split:], identity_11)
        is_complex = self.a_PP.is_complex()
        pieces = (
            [self.a_PP.real, self.a_PP.imag, self.c_QQ.real, self.c_QQ.imag] if is_complex else [self.a_PP, self.c_QQ]
        )
        self.weight = torch.cat([piece.flatten() for piece in pieces])
        self.width = self.padded = math.prod(sizes) * (2 if is_complex else 1)
        sizes_of_both = {"P": len(self.a_PP), "Q": len(self.c_QQ)}
        self.factors: Mapping[str, int | Tensor] = {**sizes_of_both, "complex": int(is_complex)}
        self.is_compiled = True

    def apply(self, h_BH: Tensor) -> Tensor:
        if not self.factors["complex"]:
            return self._apply(h_BH)
        return to_pairs(self._apply(to_complex(h_BH)))

    def dense(self) -> Tensor:
        """W as a real matrix (H, H) for row vectors. For small N only."""
        w_NN = torch.kron(self.a_PP, self.c_QQ).T
        return real_matrix(w_NN) if self.factors["complex"] else w_NN

    def _apply(self, h_BN: Tensor) -> Tensor:
        x_BPQ = h_BN.unflatten(-1, (len(self.a_PP), len(self.c_QQ)))
        return (self.a_PP @ x_BPQ @ self.c_QQ.T).flatten(-2)


def _best_split(sizes: Sequence[int]) -> int:
    """How many factors go into A: a state costs N (P + Q) products, with rows of Q no shorter than a vector."""

    def cost(split: int) -> int:
        return math.prod(sizes[:split]) + max(math.prod(sizes[split:]), VECTOR)

    return min(range(len(sizes)), key=cost)


def checked_sizes(hidden_size: int, factor_sizes: Sequence[int] | None) -> list[int]:
    """`factor_sizes`, or factors of 2 where None. Raises `ValueError` where their product is not `hidden_size`."""
    sizes = [2] * round(math.log2(max(hidden_size, 1))) if factor_sizes is None else list(factor_sizes)
    if not sizes or min(sizes) < 1 or math.prod(sizes) != hidden_size:
        product = " x ".join(map(str, sizes)) or "nothing"
        raise ValueError(f"the product of factor_sizes, {product}, is not hidden_size={hidden_size}")
    return sizes


def random_unitary(size: int, is_complex: bool) -> Tensor:
    """A matrix (size, size) drawn uniformly from the unitary group, or the orthogonal one."""
    gauss = torch.randn(size, size, dtype=torch.complex64 if is_complex else torch.float32)
    q, r = torch.linalg.qr(gauss)
    diagonal = r.diagonal()
    return q * (diagonal / diagonal.abs())  # QR alone would favour some directions (Mezzadri 2007)


def unitary_penalty(factors: Sequence[Tensor]) -> Tensor:
    """sum_f ||W_f^H W_f - I||^2, squared Frobenius norms: zero exactly where every factor, and so W, is unitary."""
    excess = [factor.mH @ factor - torch.eye(len(factor), device=factor.device) for factor in factors]
    return torch.stack([matrix.abs().square().sum() for matrix in excess]).sum()
