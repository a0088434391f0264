"""The LSTM whose three sums are normalised, its time loop compiled (cpp/normalised.cpp), on a CPU.

    a_t = h_{t-1} U + inner_a    b_t = x_t W + inner_b    i, f, g, o = gain_a N(a_t) + gain_b N(b_t) + bias
    c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)         h_t = sigmoid(o) tanh(gain_c N(c_t) + bias_c)

N(z) = (z - mean) / sqrt(variance + eps), of each feature's or of each row's statistics, or a weighted sum of both
(cpp/norms.h). Gradients flow through them, except where they are given.

Shapes: T time, B batch, D features, H hidden size, K the four gates i, f, g, o of H each; S = 9 H features that have
gains: those of a, b and c, in this order; P = 5 H biases: those of the gates and of c; M remembered steps; the 3 of a
shape are a, b and c, and its 2 are mean and variance.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqbench import compiled
from seqbench.models.cells.time_loop.recurrence import Spare

SOURCE = Path(__file__).with_name("cpp") / "normalised.cpp"


class Call(ctypes.Structure):
    """The arguments of one call, as normalised.h has them."""

    _fields_ = [
        *[(name, ctypes.c_long) for name in ("steps", "rows", "n", "d", "keeps")],
        ("normalises", ctypes.c_long * 3),
        *[(name, ctypes.c_long) for name in ("of_batch", "window", "remembered")],
        *[(name, ctypes.c_double) for name in ("eps", "row_weight", "column_weight")],
        *[(name, ctypes.c_void_p) for name in ("ids", "x", "input_weight", "weight", "gain", "bias", "inner_bias")],
        *[(name, ctypes.c_void_p) for name in ("h_before", "c_before", "mean", "variance", "own", "used")],
        *[(name, ctypes.c_void_p) for name in ("A", "C", "H", "G", "h_later", "c_later", "own_grad")],
        *[(name, ctypes.c_void_p) for name in ("input_weight_grad", "weight_grad", "gain_grad", "bias_grad")],
        *[(name, ctypes.c_void_p) for name in ("inner_bias_grad", "x_grad")],
    ]


@dataclass(frozen=True)
class How:
    """How a, b and c are normalised: each of those that `normalises` says, by columns (features over rows, of the batch
    unless statistics are given), by rows (features over a window of steps) or by both, weighted."""

    kind: Literal["columns", "rows", "both"]
    normalises: tuple[bool, bool, bool]
    eps: float = 0.0
    window: int = 1
    row_weight: float = 0.0
    column_weight: float = 0.0


class Weights(NamedTuple):
    """`inner_2K` is added to a and b before they are normalised."""

    input_DK: Tensor
    hidden_HK: Tensor
    gain_S: Tensor
    bias_P: Tensor
    inner_2K: Tensor | None


class Result(NamedTuple):
    """Outputs, the last c, the means and variances (T, S) by columns that were used, and those of each row, which are
    remembered for the windows of later steps."""

    h_TBH: Tensor
    c_BH: Tensor
    mean_TS: Tensor
    variance_TS: Tensor
    remembered_23MB: Tensor


def library() -> ctypes.CDLL | None:
    """The loaded library; None where it cannot be built, which is said on stderr."""
    return compiled.library(SOURCE, "normalised LSTM layers")


def lstm(
    x: Tensor,
    weights: Weights,
    h_BH: Tensor,
    c_BH: Tensor,
    how: How,
    statistics: tuple[Tensor, Tensor] | None,
    remembered_23MB: Tensor | None,
    spare: Spare,
) -> Result:
    """`x` is (T, B, D) features, or (T, B) ids that stand for one-hot vectors. `statistics` are given means and biased
    variances (T, S) by columns (None: the batch's). `spare` lends the memory from forward to backward."""
    of_batch = statistics is None and how.kind != "rows"
    mean_TS, variance_TS = statistics or weights.gain_S.new_empty(2, len(x) if of_batch else 0, len(weights.gain_S))
    known_23MB = h_BH.new_empty(2, 3, 0, len(h_BH)) if remembered_23MB is None else remembered_23MB
    lent = spare if torch.is_grad_enabled() else None
    arguments = (x, *weights, h_BH, c_BH, known_23MB, mean_TS, variance_TS, how, of_batch, lent)
    h_TBH, c_BH, known_23MB = _Loop.apply(*arguments)
    return Result(h_TBH, c_BH, mean_TS, variance_TS, known_23MB)


class _Loop(torch.autograd.Function):
    """Outputs (T, B, H), the last c (B, H) and what is remembered (2, 3, M, B). Statistics of the batch are written
    into the tensors for them."""

    @staticmethod
    def forward(ctx, x, *arguments):
        *weights, inner_2K, h_BH, c_BH, known_23MB, mean_TS, variance_TS, how, of_batch, ctx.spare = arguments
        n_steps, (n_rows, n), n_known = len(x), h_BH.shape, known_23MB.shape[2]
        names = ("input_weight", "weight", "gain", "bias", "h_before", "c_before")
        starts = (*weights, h_BH, c_BH)
        tensors = {name: tensor.detach().contiguous() for name, tensor in zip(names, starts, strict=True)}
        tensors["x" if x.is_floating_point() else "ids"] = x.detach().contiguous()
        tensors |= {"mean": mean_TS.contiguous(), "variance": variance_TS.contiguous()}
        if inner_2K is not None:
            tensors["inner_bias"] = inner_2K.detach().contiguous()
        if how.kind != "columns":
            tensors["own"] = torch.cat([known_23MB.detach(), h_BH.new_empty(2, 3, n_steps, n_rows)], 2)
            tensors["used"] = h_BH.new_empty(2, 3, n_steps, n_rows)
        keeps = ctx.spare is not None
        n_kept = (n_steps if keeps else 1) * n_rows * n
        shape = (5 * n_kept,)
        ctx.kept = ctx.spare.take(shape, h_BH) if keeps else h_BH.new_empty(shape)
        tensors |= {"A": ctx.kept[: 4 * n_kept], "C": ctx.kept[4 * n_kept :].view(-1, n_rows, n)}
        tensors["H"] = h_BH.new_empty(n_steps, n_rows, n)
        ctx.how, ctx.settings = how, {"of_batch": int(of_batch), "d": len(weights[0]), "remembered": n_known}
        _run("forward", how, tensors, **ctx.settings, keeps=int(keeps))
        ctx.tensors = tensors
        remembered_23MB = known_23MB.clone()
        if how.kind == "rows":
            remembered_23MB = tensors["own"][:, :, max(n_known + n_steps - how.window + 1, 0) :].clone()
        return tensors["H"], tensors["C"][-1].clone(), remembered_23MB

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_TBH: Tensor, grad_last_BH: Tensor, grad_remembered_23MB: Tensor):
        if ctx.tensors is None:
            raise RuntimeError("a compiled LSTM layer goes back once; backend=reference can retain its graph")
        tensors, needed, n_known = ctx.tensors, ctx.needs_input_grad, ctx.settings["remembered"]
        later = {"h_later": torch.zeros_like(tensors["h_before"]), "c_later": grad_last_BH.clone().contiguous()}
        grads = {f"{name}_grad": torch.zeros_like(tensors[name]) for name in ("input_weight", "weight")}
        vectors = [name for name in ("gain", "bias", "inner_bias") if name in tensors]
        grads |= {f"{name}_grad": torch.zeros_like(tensors[name], dtype=torch.float64) for name in vectors}
        if "own" in tensors:
            grads["own_grad"] = torch.zeros_like(tensors["own"])
            n_after = grad_remembered_23MB.shape[2] if ctx.how.kind == "rows" else 0
            if n_after:
                grads["own_grad"][:, :, -n_after:] = grad_remembered_23MB
        if needed[0]:
            grads["x_grad"] = torch.empty_like(tensors["x"])
        _run("backward", ctx.how, tensors, **ctx.settings, **later, **grads, G=grad_TBH.contiguous())
        ctx.spare.give(ctx.kept)
        ctx.tensors = ctx.kept = None
        of_vectors = {name: grads[f"{name}_grad"].to(tensors["H"].dtype) for name in vectors}
        known_grad = grads["own_grad"][:, :, :n_known] if "own" in tensors else grad_remembered_23MB
        of_weights = (grads["input_weight_grad"], grads["weight_grad"], of_vectors["gain"], of_vectors["bias"])
        later = (later["h_later"], later["c_later"], known_grad)
        return grads.get("x_grad"), *of_weights, of_vectors.get("inner_bias"), *later, *[None] * 5


def _run(direction: str, how: How, tensors: dict[str, Tensor], **more: Tensor | int) -> None:
    loaded = library()
    assert loaded is not None
    n_steps, n_rows, n = tensors["H"].shape
    call = Call(steps=n_steps, rows=n_rows, n=n, window=how.window, eps=how.eps)
    call.normalises[:] = how.normalises
    call.row_weight, call.column_weight = how.row_weight, how.column_weight
    for name, value in {**tensors, **more}.items():
        if isinstance(value, Tensor):
            assert value.is_contiguous() and value.device.type == "cpu", name
            value = value.data_ptr()
        setattr(call, name, value)
    dtype = "double" if tensors["H"].dtype == torch.float64 else "float"
    getattr(loaded, f"seqbench_{how.kind}_{direction}_{dtype}")(ctypes.byref(call))
