"""Gradient descent among unitary matrices by Cayley steps (Wisdom et al. 2016, arXiv 1611.00035, section 4).

    A = G W^H - W G^H,   W <- (I + lr/2 A)^{-1} (I - lr/2 A) W

G is the gradient, of real and imaginary parts as one complex matrix. A is skew-Hermitian, so its Cayley transform is
unitary: W^H W stays what it is, and the loss falls as fast as by the gradient's tangential part.

Shapes: N rows, P <= N orthonormal columns.
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from seqbench.contracts.learner import Learner
from seqbench.contracts.ranges import AtLeast, Between, NotNegative


class Stiefel(torch.optim.Optimizer):
    """For the group of the unitary matrices (`optimizer.groups.recurrent`); other parameters need another optimizer.

    A parameter is a real matrix (N, P), a complex one as pairs of reals (N, P, 2), or a vector, as one column.

    - `rms_decay`: G is divided, number by number, by the root of a running mean of its squares with this decay, as in
      the authors' experiments on MNIST; null: it is not.
    - `eps` stands inside that root.
    - `unitary_every`: every so many steps W is replaced by the nearest unitary matrix; null, as in the paper: never.

    Steps are computed in float64, whatever the weights' type. Raises `ValueError` for weights in half precision, in
    which none stays unitary, for other shapes, and for parameters that are not recurrent if `network` says which are.
    """

    def __init__(
        self,
        params,
        network: Learner,
        lr: NotNegative = 1e-3,
        rms_decay: Annotated[float, Between(0, 1, without_high=True)] | None = None,
        eps: NotNegative = 1e-8,
        unitary_every: Annotated[int, AtLeast(1)] | None = None,
    ):
        defaults = {"lr": lr, "rms_decay": rms_decay, "eps": eps, "unitary_every": unitary_every}
        super().__init__(params, defaults)
        named = network.parameter_groups().values()
        recurrent = {id(parameter) for group in named if group.recurrent for parameter in group.parameters}
        for group in self.param_groups:
            for parameter in group["params"]:
                if recurrent and id(parameter) not in recurrent:
                    raise ValueError(
                        "Stiefel is for unitary matrices alone; choose another optimizer, and this one for their "
                        "group, by optimizer.groups.recurrent._target_"
                    )
                if parameter.dtype not in (torch.float32, torch.float64):
                    raise ValueError(f"Stiefel needs float32 or float64 weights, not {parameter.dtype}")
                if not (parameter.dim() in (1, 2) or (parameter.dim() == 3 and parameter.shape[2] == 2)):
                    shape = tuple(parameter.shape)
                    raise ValueError(f"Stiefel takes matrices (N, P), or (N, P, 2) for complex ones, not {shape}")

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, grad: Tensor, group: dict) -> None:
        state = self.state[parameter]
        if group["rms_decay"] is not None:
            if "square_avg" not in state:
                state["square_avg"] = torch.zeros_like(parameter)
            state["square_avg"].lerp_(grad.square(), 1 - group["rms_decay"])
            grad = grad / (state["square_avg"] + group["eps"]).sqrt()
        w_NP = cayley_step(_matrix(parameter), _matrix(grad), group["lr"])
        if group["unitary_every"] is not None:
            state["step"] = state.get("step", 0) + 1
            if state["step"] % group["unitary_every"] == 0:
                w_NP = nearest_unitary(w_NP)
        pairs = torch.view_as_real(w_NP) if w_NP.is_complex() else w_NP
        parameter.copy_(pairs.reshape(parameter.shape))


def cayley_step(w_NP: Tensor, grad_NP: Tensor, lr: float) -> Tensor:
    """W after a step of `lr` down the gradient, W^H W unchanged."""
    skew_NN = grad_NP @ w_NP.mH - w_NP @ grad_NP.mH
    half_NN = lr / 2 * skew_NN
    identity_NN = torch.eye(len(w_NP), dtype=w_NP.dtype, device=w_NP.device)
    return torch.linalg.solve(identity_NN + half_NN, w_NP - half_NN @ w_NP)


def nearest_unitary(w_NP: Tensor) -> Tensor:
    """The matrix of orthonormal columns nearest to W: U V^H of its singular value decomposition."""
    u_NP, _, v_PP = torch.linalg.svd(w_NP, full_matrices=False)
    return u_NP @ v_PP


def _matrix(tensor: Tensor) -> Tensor:
    """(N, P) in double precision, complex where the tensor holds pairs."""
    wide = tensor.double()
    if wide.dim() == 3:
        return torch.view_as_complex(wide.contiguous())
    return wide if wide.dim() == 2 else wide[:, None]
