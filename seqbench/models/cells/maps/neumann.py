"""The scaled Cayley transform with an inverse that is brought up to date, not computed (Mucllari et al. 2022).

Mucllari, Zadorozhnyy, Pospisil, Nguyen, Ye, arXiv 2208.06496. After a step A -> A + E the inverse B = (I + A)^{-1} is
continued by a Neumann series of some order k, and computed anew once in so many steps:

    B <- (I - X + X^2 - ... +- X^k) B,   X = B E           W = B (I - A) D
    dL/dA = V^T - V,   V = B^T dL/dW (D + W^T)             for tied entries A_ij = -A_ji

Between two refreshes W is orthogonal as far as the series goes. The authors' code has E = -lr dL/dA, which is the step
of plain gradient descent, whatever the optimizer: under Adam W then leaves the orthogonal matrices.

Shapes: N the width, K = N (N - 1) / 2 the entries of A above its diagonal.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seqbench.models.cells.maps.cayley import block_rotations, scaled_cayley, skew_matrix

EXACT, NEUMANN, AUTHORS = "exact", "neumann", "authors"


class NeumannCayley(nn.Module):
    """An orthogonal matrix (N, N) whose parameter `entries` are A's, above the diagonal.

    - `n_negative`: number of -1 on D's diagonal, at its end.
    - `method`: exact solves for W in float64 each time; neumann takes the step that A has made as E; authors takes
      -`assumed_lr` times the gradient.
    - `order` of the series; `refresh_every` so many steps, beginning with the first, the inverse is computed.

    The inverse, the entries that it is of and the count of steps are buffers: a run resumes with them. Weights that are
    not those of the last step, such as averages, have no inverse here, and W is then solved for.
    """

    def __init__(
        self,
        n: int,
        n_negative: int,
        method: str = NEUMANN,
        order: int = 2,
        refresh_every: int = 49,
        assumed_lr: float | None = None,
    ):
        super().__init__()
        self.method, self.order, self.refresh_every, self.assumed_lr = method, order, refresh_every, assumed_lr
        self.entries = nn.Parameter(block_rotations(n))
        sign_N = torch.ones(n)
        sign_N[n - n_negative :] = -1
        self.sign: Tensor
        self.register_buffer("sign", sign_N)
        if method != EXACT:
            self.inverse: Tensor
            self.inverse_of: Tensor
            self.n_steps: Tensor
            self.register_buffer("inverse", torch.zeros(n, n))
            self.register_buffer("inverse_of", torch.zeros_like(self.entries))
            self.register_buffer("n_steps", torch.tensor(0))
            self.refresh()

    def matrix(self) -> Tensor:
        """W (N, N) in float32, or float64 of a module of that type; it multiplies row vectors from the right."""
        if self.method == EXACT or not torch.equal(self.entries, self.inverse_of):
            return scaled_cayley(self.entries, self.sign)
        return _FromInverse.apply(self.entries.to(self._dtype), self.inverse.to(self._dtype), self.sign.to(self._dtype))

    @torch.no_grad()
    def defect(self) -> float:
        """|| W^T W - I ||, the spectral norm."""
        w_NN = self.matrix().double()
        identity_NN = torch.eye(len(w_NN), dtype=w_NN.dtype, device=w_NN.device)
        return float(torch.linalg.eigvalsh(w_NN.T @ w_NN - identity_NN).abs().max())

    @torch.no_grad()
    def refresh(self) -> None:
        """Compute the inverse, in float64."""
        skew_NN = skew_matrix(self.entries.double(), len(self.sign))
        self.inverse.copy_(
            torch.linalg.inv(torch.eye(len(self.sign), dtype=torch.float64, device=skew_NN.device) + skew_NN)
        )
        self.inverse_of.copy_(self.entries)

    @torch.no_grad()
    def after_step(self) -> None:
        """Bring the inverse up to date; to be called after every optimizer step, while gradients are still there."""
        if self.method == EXACT:
            return
        is_due = int(self.n_steps) % self.refresh_every == 0
        self.n_steps += 1
        if is_due:
            self.refresh()
            return
        step_NN = skew_matrix(self._step().to(self._dtype), len(self.sign))
        x_NN = self.inverse.to(self._dtype) @ step_NN
        term_NN = total_NN = self.inverse.to(self._dtype)
        for _ in range(self.order):
            term_NN = -(x_NN @ term_NN)
            total_NN = total_NN + term_NN
        self.inverse.copy_(total_NN)
        self.inverse_of.copy_(self.entries)

    def _step(self) -> Tensor:
        """(K,) what A is said to have moved by."""
        if self.method == NEUMANN:
            return self.entries - self.inverse_of
        assert self.assumed_lr is not None
        gradient_K = self.entries.grad
        if gradient_K is None or not gradient_K.isfinite().all():  # of a step in half precision that is left out
            return torch.zeros_like(self.entries)
        return -self.assumed_lr * gradient_K

    @property
    def _dtype(self) -> torch.dtype:
        return torch.float64 if self.entries.dtype == torch.float64 else torch.float32


class _FromInverse(torch.autograd.Function):
    """W = B (I - A) D for an inverse B that is at hand, with the gradient of the Cayley transform."""

    @staticmethod
    def forward(ctx: Any, entries_K: Tensor, inverse_NN: Tensor, sign_N: Tensor) -> Tensor:
        w_NN = (inverse_NN - inverse_NN @ skew_matrix(entries_K, len(sign_N))) * sign_N
        ctx.save_for_backward(inverse_NN, sign_N, w_NN)
        return w_NN

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NN: Tensor) -> tuple[Tensor, None, None]:
        inverse_NN, sign_N, w_NN = ctx.saved_tensors
        v_NN = inverse_NN.T @ (grad_NN * sign_N + grad_NN @ w_NN.T)
        row_K, column_K = torch.triu_indices(*v_NN.shape, offset=1, device=v_NN.device)
        return (v_NN.T - v_NN)[row_K, column_K], None, None
