"""LSTM and GRU layers whose time loop is compiled (cpp/gated.cpp), on a CPU, where torch's own costs more than it must.

Shapes: T time, B batch, D features, H hidden size, K gates (4: i, f, g, o of an LSTM; 3: r, z, n of a GRU).
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seqbench import compiled
from seqbench.compiled import BackendError
from seqbench.contracts.pytree import State

SOURCE = Path(__file__).with_name("cpp") / "gated.cpp"
SHORTEST = 4  # steps from which `auto` takes the compiled loop, which packs the weights before the first


class Call(ctypes.Structure):
    """The arguments of one call, as gated.cpp has them."""

    _fields_ = [
        *[(name, ctypes.c_long) for name in ("steps", "rows", "n", "n_threads", "keeps")],
        *[(name, ctypes.c_void_p) for name in ("weight", "bias", "h_before", "c_before", "gates", "H")],
        *[(name, ctypes.c_void_p) for name in ("C", "N", "G", "h_later", "c_later")],
    ]


def layer(module: nn.RNNBase, x: Tensor, state: State, backend: str) -> tuple[Tensor, State] | None:
    """`with_weights` of a layer of torch's."""
    return with_weights(module.all_weights[0], isinstance(module, nn.LSTM), x, state, backend)


def with_weights(
    parameters: Sequence[Tensor], is_lstm: bool, x: Tensor, state: State, backend: str
) -> tuple[Tensor, State] | None:
    """One layer of LSTM or GRU, of the `parameters` in torch's order, on features (B, T, D) or ids (B, T) that stand
    for one-hot vectors: outputs (B, T, H) and the last state, (h, c) or h of (B, H). None where torch's kernel is to
    run instead.

    `backend` is reference, native (raises `BackendError` where it cannot run), or auto: native where it can and pays.
    """
    input_weight, weight, input_bias, bias = parameters
    n_units = weight.shape[1]
    can = weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.float64)
    can = can and not torch.is_autocast_enabled("cpu") and x.shape[1] > 0
    if backend == "reference" or compiled.plain_only() or (backend == "auto" and (not can or x.shape[1] < SHORTEST)):
        return None
    if not can or library() is None:
        if backend == "native":
            raise BackendError("backend=native, but there is no compiled layer for this device and type.")
        return None
    x_TB = x.transpose(0, 1)
    shift = input_bias + bias if is_lstm else input_bias + F.pad(bias[: 2 * n_units], (0, n_units))
    if x.is_floating_point():
        gates_TBK = F.linear(x_TB, input_weight, shift)
    else:
        gates_TBK = F.embedding(x_TB, input_weight.T + shift)
    own_bias = None if is_lstm else bias[2 * n_units :]
    zero_BH = weight.new_zeros(len(x), n_units)
    h_BH, c_BH = (state if is_lstm else (state, None)) if state is not None else (zero_BH, zero_BH if is_lstm else None)
    keeps = torch.is_grad_enabled()
    h_TBH, last_c_BH = _Loop.apply(gates_TBK, weight, own_bias, h_BH, c_BH, keeps)
    last_h_BH = h_TBH[-1]
    return h_TBH.transpose(0, 1), (last_h_BH, last_c_BH) if is_lstm else last_h_BH


class _Loop(torch.autograd.Function):
    """Outputs (T, B, H) and an LSTM's last cell (B, H), or None. `gates_TBK` is overwritten, by the gates and then by
    their gradient: nothing else refers to it, and fresh pages for another would cost as much as the loop's products."""

    @staticmethod
    def forward(ctx, gates_TBK: Tensor, weight_KH: Tensor, bias_H, h_BH: Tensor, c_BH, keeps: bool):
        (n_steps, n_rows, _), n = gates_TBK.shape, weight_KH.shape[1]
        tensors = {"weight": weight_KH.detach().contiguous(), "h_before": h_BH.detach().contiguous()}
        tensors |= {"gates": gates_TBK.detach().contiguous(), "H": h_BH.new_empty(n_steps, n_rows, n)}
        kept_TBH = h_BH.new_empty(n_steps if keeps else 1, n_rows, n)
        if c_BH is None:
            tensors |= {"bias": bias_H.detach().contiguous(), "N": kept_TBH}
        else:
            tensors |= {"c_before": c_BH.detach().contiguous(), "C": kept_TBH}
        _run("forward", tensors, keeps=int(keeps))
        ctx.tensors = tensors
        return tensors["H"], None if c_BH is None else kept_TBH[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_TBH: Tensor, grad_last_BH: Tensor | None):
        if ctx.tensors is None:
            raise RuntimeError("a compiled LSTM or GRU layer goes back once; backend=reference can retain its graph")
        tensors, ctx.tensors = ctx.tensors, None  # its gates become their gradients
        is_lstm, n = "C" in tensors, tensors["weight"].shape[1]
        later = {"h_later": torch.zeros_like(tensors["h_before"])}
        if is_lstm:
            later["c_later"] = (
                grad_last_BH.clone() if grad_last_BH is not None else torch.zeros_like(tensors["c_before"])
            )
        _run("backward", tensors, **later, G=grad_TBH.contiguous())
        gates_TBK = tensors["gates"]
        # gradients of U h: those of the gates, but for a GRU's last, which U_n h reaches through the reset gate
        parts = [gates_TBK] if is_lstm else [gates_TBK[..., : 2 * n], tensors["N"]]
        weight_grad_KH = torch.empty_like(tensors["weight"])
        for part_TBK, part_KH in zip(parts, weight_grad_KH.split([part.shape[-1] for part in parts]), strict=True):
            _product(part_TBK, tensors["h_before"], tensors["H"], part_KH)
        bias_grad_H = None if is_lstm else tensors["N"].sum((0, 1))
        return gates_TBK, weight_grad_KH, bias_grad_H, later["h_later"], later.get("c_later"), None


def _product(grad_TBK: Tensor, before_BH: Tensor, h_TBH: Tensor, out_KH: Tensor) -> None:
    """The sum over all steps of grad^T times the h of the step before."""
    torch.mm(grad_TBK[0].T, before_BH, out=out_KH)
    out_KH.addmm_(grad_TBK[1:].flatten(0, 1).T, h_TBH[:-1].flatten(0, 1))


def library() -> ctypes.CDLL | None:
    """The loaded library; None where it cannot be built, which is said on stderr."""
    return compiled.library(SOURCE, "LSTM and GRU layers")


def _run(direction: str, tensors: dict[str, Tensor], **more: Tensor | int) -> None:
    loaded = library()
    assert loaded is not None
    n_steps, n_rows, n = tensors["H"].shape
    call = Call(n_threads=torch.get_num_threads(), steps=n_steps, rows=n_rows, n=n)
    for name, value in {**tensors, **more}.items():
        if isinstance(value, Tensor):
            assert value.is_contiguous() and value.device.type == "cpu", name
            value = value.data_ptr()
        setattr(call, name, value)
    kind = "lstm" if "C" in tensors else "gru"
    dtype = "double" if tensors["H"].dtype == torch.float64 else "float"
    getattr(loaded, f"seqbench_{kind}_{direction}_{dtype}")(ctypes.byref(call))
