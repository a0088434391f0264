"""Recurrences h_t = f(x_t + h_{t-1} W): the definition in plain PyTorch, and the compiled path of the same.

W is a linear map (`Dense`, or one of cells/maps) and f a nonlinearity. The compiled path keeps the outputs alone, and
of everything else no more than a step. It can take a linear layer on the outputs into itself, too; then their gradient
never exists as a whole.

Shapes: T time, B batch, D input features, H width of the state as the map lays it out, W the same, padded.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqbench.compiled import BackendError, plain_only
from seqbench.models.cells.time_loop import native

NONLINEARITIES = ("modrelu", "complex_modrelu", "tanh")  # numbered as in cpp/nonlinearities.h


class Map(Protocol):
    """A linear map of row vectors, h -> h W."""

    width: int  # H
    padded: int  # the width of the compiled path's buffers, at least H
    weight: Tensor  # what the compiled path reads, flat or not
    factors: Mapping[str, int | Tensor]  # what it is made of, as native.Call has it
    is_compiled: bool  # whether the compiled path has it; a GPU's takes any

    def apply(self, h_BH: Tensor) -> Tensor: ...

    def dense(self) -> Tensor:
        """W as a matrix (H, H), for row vectors."""
        ...


class Dense:
    """Any matrix W (H, H)."""

    def __init__(self, weight_HH: Tensor):
        self.weight = weight_HH
        self.width = len(weight_HH)
        self.padded = math.ceil(self.width / 16) * 16  # whole vectors
        self.factors: Mapping[str, int | Tensor] = {"P": 0, "Q": 0, "complex": 0}
        self.is_compiled = True

    def apply(self, h_BH: Tensor) -> Tensor:
        return h_BH @ self.weight

    def dense(self) -> Tensor:
        return self.weight


def modrelu(z: Tensor, bias_H: Tensor) -> Tensor:
    """z / |z| max(|z| + b, 0), and 0 at 0 (Arjovsky et al. 2016); z real or complex."""
    size = z.abs()
    return torch.where(size > 0, z * ((size + bias_H).clamp_min(0) / torch.where(size > 0, size, 1)), 0)


def nonlinear(kind: str, z_BH: Tensor, bias: Tensor) -> Tensor:
    """f(z), whose state is real, or complex as (real parts, imaginary parts) side by side."""
    if kind == "tanh":
        return torch.tanh(z_BH + bias)
    if kind == "modrelu":
        return modrelu(z_BH, bias)
    h = modrelu(torch.complex(*z_BH.chunk(2, -1)), bias)
    return torch.cat([h.real, h.imag], -1)


def project(x: Tensor, weight_DH: Tensor) -> Tensor:
    """Pre-activations (T, B, H) of features (T, B, D), or of ids (T, B) that stand for one-hot vectors."""
    return x @ weight_DH if x.is_floating_point() else F.embedding(x, weight_DH)


def reference(x: Tensor, weight_DH: Tensor, bias: Tensor, linear_map: Map, kind: str, before_BH: Tensor) -> Tensor:
    """The definition: outputs (T, B, H)."""
    h_BH, outputs = before_BH, [before_BH.new_empty(0, *before_BH.shape)]
    for x_BH in project(x, weight_DH).unbind(0):
        h_BH = nonlinear(kind, x_BH + linear_map.apply(h_BH), bias)
        outputs.append(h_BH[None])
    return torch.cat(outputs)


class Spare:
    """A buffer that is used again by the next step: the system takes long to find and clear 100 MB anew."""

    def __init__(self):
        self._buffer: Tensor | None = None

    def take(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        buffer = self._buffer
        if buffer is None or buffer.shape != shape or buffer.dtype != like.dtype:
            return like.new_empty(shape)
        self._buffer = None
        return buffer

    def give(self, buffer: Tensor) -> None:
        self._buffer = buffer


@dataclass
class _Plan:
    linear_map: Map
    kind: str
    spare: Spare
    trains: bool

    def pad(self, tensor: Tensor) -> Tensor:
        return F.pad(tensor, (0, self.linear_map.padded - self.linear_map.width)).contiguous()

    def run(self, direction: str, x: Tensor, h: Tensor, **arguments: Tensor | int | None) -> None:
        native.run(
            direction,
            h.dtype,
            steps=x.shape[0],
            rows=x.shape[1],
            n=self.linear_map.width,
            width=self.linear_map.padded,
            nonlinearity=NONLINEARITIES.index(self.kind),
            H=h,
            **{"x" if x.is_floating_point() else "ids": x},
            **self.linear_map.factors,
            **arguments,
        )


class _Compiled(torch.autograd.Function):
    """Gives (outputs, last state (B, H)); the outputs are (T, B, H), or (T, B, C) given a readout (C, H)."""

    @staticmethod
    def forward(ctx, plan: _Plan, x, weight_DH, bias, before_BH, weight, readout_CH, readout_bias_C):
        n, x = plan.linear_map.width, x.contiguous()
        operands = {
            "d": len(weight_DH),
            "input_weight": plan.pad(weight_DH),
            "bias": plan.pad(bias),
            "before": plan.pad(before_BH),
            "weight": weight.detach().contiguous(),
        }
        shape = (*x.shape[:2], plan.linear_map.padded)
        if readout_CH is None:
            h = weight_DH.new_empty(shape)
            outputs = h[:, :, :n]
        else:
            h = plan.spare.take(shape, weight_DH) if plan.trains else weight_DH.new_empty(shape)
            outputs = weight_DH.new_empty(*x.shape[:2], len(readout_CH))
            operands |= {"c": len(readout_CH), "readout": plan.pad(readout_CH), "Y": outputs}
            operands["readout_bias"] = readout_bias_C.detach().contiguous()
        plan.run("forward", x, h, **operands)
        ctx.plan, ctx.operands, ctx.n_bias = plan, operands, len(bias)
        ctx.save_for_backward(x, h)
        last = h[-1, :, :n].clone()
        return outputs, last

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor, grad_last: Tensor):
        plan: _Plan = ctx.plan
        x, h = ctx.saved_tensors
        operands, n, d = ctx.operands, plan.linear_map.width, ctx.operands["d"]
        c = operands.get("c", 0)
        later = plan.pad(grad_last)
        bias_grad = torch.zeros(ctx.n_bias, dtype=torch.float64)
        grads = {
            "weight_grad": torch.zeros_like(operands["weight"]),
            "input_weight_grad": h.new_zeros(d, n),
            "readout_grad": h.new_zeros(c, plan.linear_map.padded),
        }
        x_grad = torch.empty_like(x) if ctx.needs_input_grad[1] else None
        operands = {
            **operands,
            **grads,
            "later": later,
            "bias_grad": bias_grad,
            "x_grad": x_grad,
            "G": grad.contiguous(),
        }
        plan.run("backward", x, h, **operands)
        if c:
            plan.spare.give(h)
        gradients = (grads["input_weight_grad"], bias_grad.to(h.dtype), later[:, :n], grads["weight_grad"])
        readout_grads = (grads["readout_grad"][:, :n], grad.sum((0, 1))) if c else (None, None)
        return None, x_grad, *gradients, *readout_grads


MOST_ON_GPU = 1024  # width up to which W, dense, stays in a GPU's caches; above, torch's own products are the better
FEW = 64  # columns of a readout that the compiled path takes on; for more, torch's products are the better


def recurrence(
    x: Tensor,
    weight_DH: Tensor,
    bias: Tensor,
    linear_map: Map,
    kind: str,
    before_BH: Tensor,
    spare: Spare,
    backend: str,
    readout_CH: Tensor | None = None,
    readout_bias_C: Tensor | None = None,
) -> tuple[Tensor, Tensor] | None:
    """Outputs (T, B, H) and last state (B, H) for features (T, B, D), or ids (T, B) that stand for one-hot vectors.

    `backend` is reference, native (compiled; raises `BackendError` where it cannot run), or auto: native where it can.
    With `readout_CH` the outputs are their products with it, (T, B, C), plus `readout_bias_C` if there is one; or None
    is returned where that saves nothing. On the compiled path the outputs themselves are not returned then, and one
    buffer, `spare`'s, serves every step of training. All floating tensors are of one type.
    """
    path = _path(weight_DH, linear_map, backend)
    compiled = path == "compiled"
    if readout_CH is not None and (not compiled or len(readout_CH) > FEW):
        return None
    if len(x) == 0:
        width = linear_map.width if readout_CH is None else len(readout_CH)
        return before_BH.new_empty(0, len(before_BH), width), before_BH
    if compiled:
        if readout_CH is not None and readout_bias_C is None:
            readout_bias_C = readout_CH.new_zeros(len(readout_CH))
        plan = _Plan(linear_map, kind, spare, torch.is_grad_enabled())
        return _Compiled.apply(plan, x, weight_DH, bias, before_BH, linear_map.weight, readout_CH, readout_bias_C)
    if path == "gpu":
        from seqbench.models.cells.time_loop.gpu import OnGpu

        number = NONLINEARITIES.index(kind)
        outputs = OnGpu.apply(number, project(x, weight_DH), linear_map.dense(), bias, before_BH)
    else:
        outputs = reference(x, weight_DH, bias, linear_map, kind, before_BH)
    return outputs, outputs[-1]


def _path(weight: Tensor, linear_map: Map, backend: str) -> str:
    """compiled (CPU), gpu, or reference."""
    if backend == "reference" or plain_only():
        return "reference"
    in_float = weight.dtype in (torch.float32, torch.float64)
    if weight.device.type == "cpu" and in_float and linear_map.is_compiled and native.library() is not None:
        return "compiled"
    if (
        weight.device.type == "cuda"
        and weight.dtype == torch.float32
        and linear_map.width <= MOST_ON_GPU
        and _has_triton()
    ):
        return "gpu"
    if backend == "native":
        raise BackendError("backend=native, but there is no native recurrence for this device, type, width and map.")
    return "reference"


@functools.cache
def _has_triton() -> bool:
    is_installed = importlib.util.find_spec("triton") is not None
    if not is_installed:
        print("seqbench: recurrences run in plain PyTorch, since triton is not installed.", file=sys.stderr)
    return is_installed
