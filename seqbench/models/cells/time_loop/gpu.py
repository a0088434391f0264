"""The time loops of recurrences on a GPU, in Triton: one kernel launch forward, one back.

A row of the batch needs no other row, so each program takes a block of rows through all steps, and no program waits
for another. W stays in the GPU's caches; a step's state goes through the outputs that are kept anyway. The gradients of
W, of the input weights and of the bias are large products and sums over all steps, left to torch.

Widths are padded to whole blocks, each plane by itself: one plane for a real state, two (real parts, imaginary parts)
for a complex one. Shapes: T time, B batch, S planes, N padded width of a plane, H = S N.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

ROWS, BLOCK = 16, 64  # rows of a program; columns of a tile. 16 is the least that tensor cores take
MODRELU, COMPLEX_MODRELU, TANH = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)


@triton.jit
def _tile(
    left, weight, row, column, inside, n, stride, by_row, by_column, block: tl.constexpr, precision: tl.constexpr
):
    """(rows, block): the rows of `left` (., n) times the columns `column` of a matrix with the given strides."""
    total = tl.zeros((row.shape[0], block), dtype=tl.float32)
    for first in range(0, n, block):
        k = first + tl.arange(0, block)
        a = tl.load(left + row[:, None] * stride + k[None, :], mask=inside[:, None], other=0.0)
        b = tl.load(weight + k[:, None] * by_row + column[None, :] * by_column)
        total = tl.dot(a, b, total, input_precision=precision)
    return total


@triton.jit
def _forward(
    h_ptr,
    weight_ptr,
    bias_ptr,
    before_ptr,
    steps,
    rows,
    n,
    kind: tl.constexpr,
    planes: tl.constexpr,
    n_rows: tl.constexpr,
    block: tl.constexpr,
    precision: tl.constexpr,
):
    width = n * planes
    row = tl.program_id(0) * n_rows + tl.arange(0, n_rows)
    inside = row < rows
    for t in range(steps):
        here = h_ptr + tl.cast(t, tl.int64) * rows * width
        previous = before_ptr if t == 0 else here - rows * width
        for first in range(0, n, block):
            column = first + tl.arange(0, block)
            place = here + row[:, None] * width + column[None, :]
            z = tl.load(place, mask=inside[:, None], other=0.0)
            z += _tile(previous, weight_ptr, row, column, inside, width, width, width, 1, block, precision)
            bias = tl.load(bias_ptr + column)[None, :]
            if kind == COMPLEX_MODRELU:
                w = tl.load(place + n, mask=inside[:, None], other=0.0)
                w += _tile(previous, weight_ptr, row, n + column, inside, width, width, width, 1, block, precision)
                size = tl.sqrt(z * z + w * w)
                scale = tl.where(size > 0, tl.maximum(size + bias, 0.0) / tl.where(size > 0, size, 1.0), 0.0)
                tl.store(place, z * scale, mask=inside[:, None])
                tl.store(place + n, w * scale, mask=inside[:, None])
            else:
                if kind == TANH:
                    h = 2.0 * tl.sigmoid(2.0 * (z + bias)) - 1.0
                else:
                    size = tl.maximum(tl.abs(z) + bias, 0.0)
                    h = tl.where(z > 0, size, tl.where(z < 0, -size, 0.0))
                tl.store(place, h, mask=inside[:, None])
        tl.debug_barrier()  # what the program's threads have written, its others read in the next step


@triton.jit
def _backward(
    h_ptr,
    delta_ptr,
    weight_ptr,
    bias_ptr,
    later_ptr,
    steps,
    rows,
    n,
    kind: tl.constexpr,
    planes: tl.constexpr,
    n_rows: tl.constexpr,
    block: tl.constexpr,
    precision: tl.constexpr,
):
    width = n * planes
    row = tl.program_id(0) * n_rows + tl.arange(0, n_rows)
    inside = row < rows
    for back in range(steps):
        t = tl.cast(steps - 1 - back, tl.int64)
        here, delta = h_ptr + t * rows * width, delta_ptr + t * rows * width
        for first in range(0, n, block):
            column = first + tl.arange(0, block)
            place = row[:, None] * width + column[None, :]
            h = tl.load(here + place, mask=inside[:, None], other=0.0)
            g = tl.load(delta + place, mask=inside[:, None], other=0.0)
            g += tl.load(later_ptr + place, mask=inside[:, None], other=0.0)
            if kind == COMPLEX_MODRELU:
                # along z the slope is 1, across it |h| / |z|, with |z| = |h| - b
                v = tl.load(here + place + n, mask=inside[:, None], other=0.0)
                f = tl.load(delta + place + n, mask=inside[:, None], other=0.0)
                f += tl.load(later_ptr + place + n, mask=inside[:, None], other=0.0)
                size = tl.sqrt(h * h + v * v)
                on = size > 0
                before = size - tl.load(bias_ptr + column)[None, :]
                across = tl.where(before > 0, size / tl.where(before > 0, before, 1.0), 0.0)
                inverse = tl.where(on, 1.0 / tl.where(on, size, 1.0), 0.0)
                along = (g * h + f * v) * inverse
                u, w = h * inverse, v * inverse
                tl.store(delta + place, tl.where(on, along * u + across * (g - along * u), 0.0), mask=inside[:, None])
                tl.store(
                    delta + place + n, tl.where(on, along * w + across * (f - along * w), 0.0), mask=inside[:, None]
                )
            elif kind == TANH:
                tl.store(delta + place, g * (1.0 - h * h), mask=inside[:, None])
            else:
                tl.store(delta + place, tl.where(h == 0.0, 0.0, g), mask=inside[:, None])
        tl.debug_barrier()
        for first in range(0, width, block):
            column = first + tl.arange(0, block)
            g = _tile(delta, weight_ptr, row, column, inside, width, width, 1, width, block, precision)
            tl.store(later_ptr + row[:, None] * width + column[None, :], g, mask=inside[:, None])
        tl.debug_barrier()


class OnGpu(torch.autograd.Function):
    """Outputs (T, B, H) of pre-activations x (T, B, H), W (H, H) for row vectors, bias and first state (B, H), for the
    nonlinearity numbered `kind` (as in recurrence.py). float32."""

    @staticmethod
    def forward(ctx, kind: int, x_TBH: Tensor, weight_HH: Tensor, bias: Tensor, before_BH: Tensor):
        planes = 2 if kind == COMPLEX_MODRELU.value else 1
        n = x_TBH.shape[-1] // planes
        padded = -(-n // BLOCK) * BLOCK
        h, before = _pad(x_TBH, planes, padded), _pad(before_BH, planes, padded)
        weight = _pad(_pad(weight_HH, planes, padded).T, planes, padded).T.contiguous()
        wide_bias = _pad(bias, 1, padded)
        steps, rows = h.shape[:2]
        _launch(_forward, rows, h, weight, wide_bias, before, steps, rows, padded, kind, planes)
        ctx.kind, ctx.planes, ctx.n = kind, planes, n
        outputs = _cut(h, planes, n)
        ctx.save_for_backward(h, weight, wide_bias, before)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_TBH: Tensor):
        h, weight, bias, before = ctx.saved_tensors
        kind, planes, n = ctx.kind, ctx.planes, ctx.n
        padded = h.shape[-1] // planes
        delta, later = _pad(grad_TBH, planes, padded), torch.zeros_like(before)
        steps, rows = h.shape[:2]
        _launch(_backward, rows, h, delta, weight, bias, later, steps, rows, padded, kind, planes)
        weight_grad = before.T @ delta[0]
        weight_grad.addmm_(h[:-1].flatten(0, 1).T, delta[1:].flatten(0, 1))
        weight_grad = _cut(_cut(weight_grad, planes, n).T, planes, n).T
        return None, _cut(delta, planes, n), weight_grad, _bias_grad(kind, h, delta, planes)[:n], _cut(later, planes, n)


def _bias_grad(kind: int, h: Tensor, delta: Tensor, planes: int) -> Tensor:
    if kind == TANH.value:
        return delta.sum((0, 1))
    h, delta = h.unflatten(-1, (planes, -1)), delta.unflatten(-1, (planes, -1))
    size = h.square().sum(-2).sqrt()
    return torch.where(size > 0, (delta * h).sum(-2) / size, 0).sum((0, 1))


def _pad(tensor: Tensor, planes: int, padded: int) -> Tensor:
    """A contiguous copy whose last axis has `planes` planes of width `padded`, zero beyond what was there."""
    parts = tensor.unflatten(-1, (planes, -1))
    return torch.nn.functional.pad(parts, (0, padded - parts.shape[-1])).flatten(-2).clone()


def _cut(tensor: Tensor, planes: int, n: int) -> Tensor:
    return tensor.unflatten(-1, (planes, -1))[..., :n].flatten(-2)


def _launch(kernel, rows: int, *arguments) -> None:
    *tensors, kind, planes = arguments
    grid = (triton.cdiv(rows, ROWS),)
    kernel[grid](
        *tensors, kind=kind, planes=planes, n_rows=ROWS, block=BLOCK, precision="tf32x3", num_warps=8, num_stages=2
    )
