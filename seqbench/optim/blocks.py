"""Adafactor's step on one large tensor in plain PyTorch, in blocks of rows that stay in a CPU's cache.

The arithmetic of adafactor.py in fewer passes over memory: R_i is final once row i has been seen, so the same block
gives its part of S_j = sum_i G_ij^2 / R_i, and with C at the end sum_ij U_ij^2 = mean(R) sum_j S_j / C_j: RMS(U)
without U.

Shapes: K matrices of (N, M), n rows of a block.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BLOCK_ELEMENTS = 2**17  # three such blocks, of G, of X and of what is computed from them, fit into 2 MiB in float32


def takes(weight: Tensor, state: dict[str, Any]) -> bool:
    """Whether this weight is worth the blocks, and of the kind that `update` takes."""
    grad = weight.grad
    return (
        weight.device.type == "cpu"
        and weight.dtype in (torch.float32, torch.float64)
        and weight.is_contiguous()
        and grad is not None
        and grad.dtype is weight.dtype
        and "row" in state
        and weight.shape[-2] * weight.shape[-1] > BLOCK_ELEMENTS
    )


def update(weight: Tensor, state: dict[str, Any], group: dict[str, Any], mix: float, rate: float) -> None:
    """Update a weight and its state, but for `step`; `mix` and `rate` as for `native.update`."""
    assert weight.grad is not None
    N, M = weight.shape[-2:]
    n = min(N, max(1, BLOCK_ELEMENTS // M))
    blocks = [slice(start, min(start + n, N)) for start in range(0, N, n)]
    scratch_nM, factors_2n = weight.new_empty(n, M), weight.new_ones(2, n)
    x_KNM, g_KNM = weight.view(-1, N, M), weight.grad.reshape(-1, N, M)
    row_KN, column_KM = state["row"].view(-1, N), state["column"].view(-1, M)

    square_sum, update_sum = torch.zeros(2, dtype=torch.float64)  # over all elements, of X^2 and of U^2
    for x_NM, g_NM, row_N, column_M in zip(x_KNM, g_KNM, row_KN, column_KM, strict=True):
        sums_2M = torch.zeros(2, M, dtype=torch.float64)  # over rows, of G^2 and of G^2 / R
        for block in blocks:
            x_nM, g_nM, row_n = x_NM[block], g_NM[block], row_N[block]
            square_nM = torch.mul(g_nM, g_nM, out=scratch_nM[: len(g_nM)])
            row_n.lerp_(square_nM.mean(1).add_(group["eps1"]), mix)
            torch.reciprocal(row_n, out=factors_2n[1, : len(row_n)])
            sums_2M += factors_2n[:, : len(row_n)] @ square_nM
            if group["scale_parameter"]:
                square_sum += torch.mul(x_nM, x_nM, out=square_nM).sum()
        column_M.lerp_((sums_2M[0] / N + group["eps1"]).to(weight.dtype), mix)
        update_sum += (sums_2M[1] / column_M).sum() * row_N.mean()

    alpha = torch.tensor(rate, dtype=torch.float64)
    if group["scale_parameter"]:
        alpha = alpha * (square_sum / weight.numel()).sqrt().clamp(min=group["eps2"])
    scale = alpha
    if group["clip_threshold"] is not None:
        scale = alpha / ((update_sum / weight.numel()).sqrt() / group["clip_threshold"]).clamp(min=1.0)
    scale, decay = scale.to(weight.dtype), (group["weight_decay"] * alpha).to(weight.dtype)

    for k, (x_NM, g_NM, row_N, column_M) in enumerate(zip(x_KNM, g_KNM, row_KN, column_KM, strict=True)):
        row_factor_N1 = (row_N.rsqrt() * row_N.mean().sqrt())[:, None]
        column_factor_M = column_M.rsqrt() * scale
        for block in reversed(blocks):  # what was read last is still in the cache
            change_nM = torch.mul(g_NM[block], row_factor_N1[block], out=scratch_nM[: len(row_N[block])])
            change_nM.mul_(column_factor_M)
            if group["beta1"]:
                change_nM = state["mean"].view(-1, N, M)[k, block].lerp_(change_nM, 1.0 - group["beta1"])
            if group["weight_decay"]:
                x_NM[block].mul_(1.0 - decay)
            x_NM[block].sub_(change_nM)
