"""The time loop of a GRU whose candidate is a modReLU, with a backward pass by hand: half the operations of autograd's.

    r, u = sigmoid(g_t + h_{t-1} G)
    c = modReLU(x_t + (r * h_{t-1}) W), or modReLU(x_t + r * (h_{t-1} W))
    h_t = u * h_{t-1} + (1 - u) * c             modReLU(z) = sign(z) max(|z| + b, 0)

Where modReLU lets z through, c is not zero and has its sign, so c is all that the backward pass needs of z. Gradients
of matrices are one product each, over all steps.

Shapes: T time, B batch, H hidden size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def modrelu_gru(
    g_TBG: Tensor, x_TBH: Tensor, bias_H: Tensor, gates_HG: Tensor, w_HH: Tensor, before_BH: Tensor, reset_first: bool
) -> Tensor:
    """h (T, B, H) after each step, for pre-activations of the gates r and u (T, B, 2 H) and of the candidate (T, B, H).

    `before_BH` is h before the first step; `reset_first` multiplies h by r before W, else what comes out of W.
    """
    return _Loop.apply(g_TBG, x_TBH, bias_H, gates_HG, w_HH, before_BH, reset_first)


class _Loop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, g_TBG, x_TBH, bias_H, gates_HG, w_HH, before_BH, reset_first: bool) -> Tensor:
        n_steps, n_rows, n = x_TBH.shape
        h_TBH = before_BH.new_empty(n_steps + 1, n_rows, n)  # h before step t, and at the end
        h_TBH[0] = before_BH
        ru_TBG, c_TBH = torch.empty_like(g_TBG), torch.empty_like(x_TBH)
        q_TBH = torch.empty_like(x_TBH)  # what W multiplies, or its product with h
        for t in range(n_steps):
            h_BH, c_BH = h_TBH[t], c_TBH[t]
            ru_BG = torch.addmm(g_TBG[t], h_BH, gates_HG, out=ru_TBG[t]).sigmoid_()
            r_BH, u_BH = ru_BG[:, :n], ru_BG[:, n:]
            if reset_first:
                z_BH = torch.addmm(x_TBH[t], torch.mul(r_BH, h_BH, out=q_TBH[t]), w_HH)
            else:
                z_BH = torch.addcmul(x_TBH[t], r_BH, torch.mm(h_BH, w_HH, out=q_TBH[t]))
            torch.mul(z_BH.sign(), z_BH.abs_().add_(bias_H).relu_(), out=c_BH)
            torch.lerp(c_BH, h_BH, u_BH, out=h_TBH[t + 1])
        ctx.save_for_backward(h_TBH, ru_TBG, c_TBH, q_TBH, gates_HG, w_HH)
        ctx.reset_first = reset_first
        return h_TBH[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_TBH: Tensor) -> tuple[Tensor | None, ...]:
        h_TBH, ru_TBG, c_TBH, q_TBH, gates_HG, w_HH = ctx.saved_tensors
        h_TBH, n = h_TBH[:-1], len(w_HH)
        r_TBH, u_TBH = ru_TBG[..., :n], ru_TBG[..., n:]
        slope_TBG = ru_TBG * (1 - ru_TBG)
        sign_TBH = c_TBH.sign()
        of_u_TBH = (h_TBH - c_TBH) * slope_TBG[..., n:]  # what of h's gradient reaches u's pre-activation,
        of_z_TBH = (1 - u_TBH) * sign_TBH.abs()  # and z
        of_r_TBH = slope_TBG[..., :n] * (h_TBH if ctx.reset_first else q_TBH)
        g_grad_TBG, z_grad_TBH = torch.empty_like(ru_TBG), torch.empty_like(c_TBH)
        gates_GH, w_T_HH = gates_HG.T.contiguous(), w_HH.T.contiguous()
        grad_BH = torch.zeros_like(c_TBH[0]) if len(c_TBH) else grad_TBH.new_zeros(grad_TBH.shape[1:])
        for t in range(len(c_TBH) - 1, -1, -1):
            grad_BH = grad_BH + grad_TBH[t]
            z_grad_BH = torch.mul(grad_BH, of_z_TBH[t], out=z_grad_TBH[t])
            torch.mul(grad_BH, of_u_TBH[t], out=g_grad_TBG[t, :, n:])
            if ctx.reset_first:
                through_BH = z_grad_BH @ w_T_HH
                torch.mul(through_BH, of_r_TBH[t], out=g_grad_TBG[t, :, :n])
                through_BH = through_BH.mul_(r_TBH[t])
            else:
                torch.mul(z_grad_BH, of_r_TBH[t], out=g_grad_TBG[t, :, :n])
                through_BH = (z_grad_BH * r_TBH[t]) @ w_T_HH
            grad_BH = torch.addcmul(through_BH, grad_BH, u_TBH[t]).addmm_(g_grad_TBG[t], gates_GH)
        bias_grad_H = (z_grad_TBH * sign_TBH).sum((0, 1))
        h_NH = h_TBH.flatten(0, 1)
        gates_grad_HG = h_NH.T @ g_grad_TBG.flatten(0, 1)
        if ctx.reset_first:
            w_grad_HH = q_TBH.flatten(0, 1).T @ z_grad_TBH.flatten(0, 1)
        else:
            w_grad_HH = h_NH.T @ (z_grad_TBH * r_TBH).flatten(0, 1)
        return g_grad_TBG, z_grad_TBH, bias_grad_H, gates_grad_HG, w_grad_HH, grad_BH, None
