"""The recurrence h_t = modReLU(x_t + h_{t-1} W), modReLU(z) = sign(z) max(|z| + b, 0) (Arjovsky et al. 2016), with its
backward pass through time written out.

Only the outputs are kept for the backward pass: h_t is zero exactly where the unit is off, and has the sign of z_t
where it is on. The gradient of W is one large product over all steps instead of one a step.

Shapes: T time, B batch, H hidden size.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _ModReLURecurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_TBH: Tensor, weight_HH: Tensor, bias_H: Tensor, h0_BH: Tensor) -> Tensor:
        h_TBH = torch.empty_like(x_TBH)
        z_BH, size_BH, h_BH = torch.empty_like(h0_BH), torch.empty_like(h0_BH), h0_BH
        for x_BH, out_BH in zip(x_TBH.unbind(0), h_TBH.unbind(0), strict=True):
            torch.addmm(x_BH, h_BH, weight_HH, out=z_BH)
            torch.abs(z_BH, out=size_BH)
            size_BH.add_(bias_H).clamp_min_(0)
            h_BH = torch.mul(z_BH.sign_(), size_BH, out=out_BH)
        ctx.save_for_backward(h_TBH, weight_HH, h0_BH)
        return h_TBH

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_TBH: Tensor):
        h_TBH, weight_HH, h0_BH = ctx.saved_tensors
        hidden_size = h_TBH.shape[2]
        sign_TBH = h_TBH.sign()
        on_TBH = sign_TBH.abs()
        delta_TBH = torch.empty_like(h_TBH)  # the gradient of z_t
        transposed_HH, later_BH = weight_HH.T.contiguous(), None
        steps = zip(grad_TBH.unbind(0), on_TBH.unbind(0), delta_TBH.unbind(0), strict=True)
        for grad_BH, on_BH, delta_BH in reversed(list(steps)):
            if later_BH is not None:
                grad_BH = torch.addmm(grad_BH, later_BH, transposed_HH, out=delta_BH)
            later_BH = torch.mul(grad_BH, on_BH, out=delta_BH)
        grad_weight_HH = h0_BH.T @ delta_TBH[0]
        grad_weight_HH.addmm_(h_TBH[:-1].reshape(-1, hidden_size).T, delta_TBH[1:].reshape(-1, hidden_size))
        grad_bias_H = sign_TBH.mul_(delta_TBH).sum((0, 1))
        return delta_TBH, grad_weight_HH, grad_bias_H, delta_TBH[0] @ transposed_HH


def modrelu_recurrence(x_TBH: Tensor, weight_HH: Tensor, bias_H: Tensor, h0_BH: Tensor) -> Tensor:
    """h (T, B, H) for pre-activations `x_TBH`, recurrent matrix `weight_HH` (row vectors: h W), bias `bias_H` and first
    state `h0_BH`. Differentiable once in all four; all of one floating type."""
    if x_TBH.shape[0] == 0:
        return x_TBH
    return _ModReLURecurrence.apply(x_TBH, weight_HH, bias_H, h0_BH)
