"""Gradients of what is rounded: straight through, and rounded themselves on the way back."""

from __future__ import annotations

import torch
from torch import Tensor

from seqbench.contracts.quantizer import Quantizer


def straight_through(value: Tensor, x: Tensor, passes: Tensor) -> Tensor:
    """`value`, exactly, whose gradient by `x` is 1 where `passes` and 0 elsewhere (Bengio, Léonard, Courville 2013,
    arXiv 1308.3432)."""
    return value.detach() + torch.where(passes, x - x.detach(), 0)


def with_quantized_gradient(x: Tensor, quantizer: Quantizer) -> Tensor:
    """x, whose gradient is quantised before it goes on."""
    return x if quantizer.bits is None or not x.requires_grad else _Gradient.apply(x, quantizer)


class _Gradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, quantizer: Quantizer) -> Tensor:
        ctx.quantizer = quantizer
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad: Tensor):
        with torch.no_grad():
            return ctx.quantizer(grad), None
