"""The LSTM whose three sums are normalised, its time loop compiled (cpp/normalised.cpp), on a CPU.

    a_t = h_{t-1} U    b_t = x_t W    i, f, g, o = gain_a N(a_t) + gain_b N(b_t) + bias
    c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)    h_t = sigmoid(o) tanh(gain_c N(c_t) + bias_c)

N(z) = (z - mean) / sqrt(variance + eps) with the statistics of the batch at that step, or with given ones. Mean 0,
variance 1 and eps 0 leave z as it is.

Shapes: T time, B batch, D features, H hidden size, K the four gates i, f, g, o of H each; S = 9 H features that have
statistics and gains: those of a, b and c, in this order; P = 5 H biases: those of the gates and of c.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqbench import compiled
from seqbench.models.cells.time_loop.recurrence import Spare

SOURCE = Path(__file__).with_name("cpp") / "normalised.cpp"


class Call(ctypes.Structure):
    """The arguments of one call, as normalised.cpp has them."""

    _fields_ = [
        *[(name, ctypes.c_long) for name in ("steps", "rows", "n", "d", "of_batch", "keeps")],
        ("eps", ctypes.c_double),
        *[(name, ctypes.c_void_p) for name in ("ids", "x", "input_weight", "weight", "gain", "bias")],
        *[(name, ctypes.c_void_p) for name in ("h_before", "c_before", "mean", "variance", "A", "C", "H")],
        *[(name, ctypes.c_void_p) for name in ("G", "h_later", "c_later", "input_weight_grad", "weight_grad")],
        *[(name, ctypes.c_void_p) for name in ("gain_grad", "bias_grad", "x_grad")],
    ]


@dataclass(frozen=True)
class Statistics:
    """Mean and biased variance of each feature at each step, (T, S) both, and what is added to the variance."""

    mean_TS: Tensor
    variance_TS: Tensor
    eps: float


def library() -> ctypes.CDLL | None:
    """The loaded library; None where it cannot be built, which is said on stderr."""
    return compiled.library(SOURCE, "normalised LSTM layers")


def lstm(
    x: Tensor,
    input_weight_DK: Tensor,
    weight_HK: Tensor,
    gain_S: Tensor,
    bias_P: Tensor,
    h_BH: Tensor,
    c_BH: Tensor,
    statistics: Statistics | None,
    eps: float,
    spare: Spare,
) -> tuple[Tensor, Tensor, Statistics]:
    """Outputs (T, B, H), the last c (B, H), and the statistics that were used: the given ones, or the batch's, through
    which gradients flow. `x` is (T, B, D) features, or (T, B) ids that stand for one-hot vectors. `spare` lends the
    memory from forward to backward."""
    if statistics is None:
        mean_TS, variance_TS = gain_S.new_empty(2, len(x), len(gain_S))
    else:
        mean_TS, variance_TS, eps = statistics.mean_TS, statistics.variance_TS, statistics.eps
    arguments = (x, input_weight_DK, weight_HK, gain_S, bias_P, h_BH, c_BH, mean_TS, variance_TS)
    h_TBH, c_BH = _Loop.apply(*arguments, eps, statistics is None, spare if torch.is_grad_enabled() else None)
    return h_TBH, c_BH, Statistics(mean_TS, variance_TS, eps)


class _Loop(torch.autograd.Function):
    """Outputs (T, B, H) and the last c (B, H). Statistics of the batch are written into the tensors for them."""

    @staticmethod
    def forward(ctx, x, input_weight_DK, weight_HK, gain_S, bias_P, h_BH, c_BH, mean_TS, variance_TS, *how: Any):
        eps, of_batch, ctx.spare = how
        n_steps, (n_rows, n) = len(x), h_BH.shape
        names = ("input_weight", "weight", "gain", "bias", "h_before", "c_before")
        weights = (input_weight_DK, weight_HK, gain_S, bias_P, h_BH, c_BH)
        tensors = {name: tensor.detach().contiguous() for name, tensor in zip(names, weights, strict=True)}
        tensors["x" if x.is_floating_point() else "ids"] = x.detach().contiguous()
        tensors |= {"mean": mean_TS.contiguous(), "variance": variance_TS.contiguous()}
        keeps = ctx.spare is not None
        n_kept = (n_steps if keeps else 1) * n_rows * n
        shape = (5 * n_kept,)
        ctx.kept = ctx.spare.take(shape, h_BH) if keeps else h_BH.new_empty(shape)
        tensors |= {"A": ctx.kept[: 4 * n_kept], "C": ctx.kept[4 * n_kept :].view(-1, n_rows, n)}
        tensors["H"] = h_BH.new_empty(n_steps, n_rows, n)
        ctx.how = {"eps": eps, "of_batch": int(of_batch), "d": len(input_weight_DK)}
        _run("forward", tensors, **ctx.how, keeps=int(keeps))
        ctx.tensors = tensors
        return tensors["H"], tensors["C"][-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_TBH: Tensor, grad_last_BH: Tensor):
        if ctx.tensors is None:
            raise RuntimeError("a compiled BN-LSTM goes back once; backend=reference can retain its graph")
        tensors, needed = ctx.tensors, ctx.needs_input_grad
        later = {"h_later": torch.zeros_like(tensors["h_before"]), "c_later": grad_last_BH.clone().contiguous()}
        grads = {f"{name}_grad": torch.zeros_like(tensors[name]) for name in ("input_weight", "weight")}
        grads |= {f"{name}_grad": torch.zeros_like(tensors[name], dtype=torch.float64) for name in ("gain", "bias")}
        if needed[0]:
            grads["x_grad"] = torch.empty_like(tensors["x"])
        _run("backward", tensors, **ctx.how, **later, **grads, G=grad_TBH.contiguous())
        ctx.spare.give(ctx.kept)
        ctx.tensors = ctx.kept = None
        dtype = tensors["H"].dtype
        of_vectors = (grads["gain_grad"].to(dtype), grads["bias_grad"].to(dtype))
        of_weights = (grads["input_weight_grad"], grads["weight_grad"])
        return grads.get("x_grad"), *of_weights, *of_vectors, *later.values(), None, None, None, None, None


def _run(direction: str, tensors: dict[str, Tensor], **more: Tensor | int | float) -> None:
    loaded = library()
    assert loaded is not None
    n_steps, n_rows, n = tensors["H"].shape
    call = Call(steps=n_steps, rows=n_rows, n=n)
    for name, value in {**tensors, **more}.items():
        if isinstance(value, Tensor):
            assert value.is_contiguous() and value.device.type == "cpu", name
            value = value.data_ptr()
        setattr(call, name, value)
    dtype = "double" if tensors["H"].dtype == torch.float64 else "float"
    getattr(loaded, f"seqbench_{direction}_{dtype}")(ctypes.byref(call))
