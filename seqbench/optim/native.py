"""Adafactor's compiled step on the CPU: one call for all tensors of a group. cpp/adafactor.cpp does the arithmetic."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqbench import compiled

SOURCE = Path(__file__).with_name("cpp") / "adafactor.cpp"
NAMES = {torch.float32: "float", torch.float64: "double"}
TYPES = (Tensor, torch.nn.Parameter)  # a subclass may keep its numbers elsewhere


def library() -> ctypes.CDLL | None:
    """The loaded library; None where it cannot be built, which is said on stderr."""
    return compiled.library(SOURCE, "Adafactor's steps")


def takes(weight: Tensor, state: dict[str, Any]) -> bool:
    """Whether the compiled step can update this weight."""
    grad = weight.grad
    return (
        weight.device.type == "cpu"
        and weight.dtype in NAMES
        and grad is not None
        and type(weight) in TYPES
        and type(grad) in TYPES
        and weight.is_contiguous()
        and grad.dtype is weight.dtype
        and grad.is_contiguous()
        and all(value.is_contiguous() for value in state.values() if isinstance(value, Tensor))
        and library() is not None
    )


class Item(ctypes.Structure):
    """A tensor, as adafactor.cpp has it."""

    _fields_ = [
        *[(name, ctypes.c_void_p) for name in ("weight", "grad", "row", "column", "square", "mean")],
        *[(name, ctypes.c_long) for name in ("matrices", "n", "m")],
        *[(name, ctypes.c_double) for name in ("mix", "rate")],
    ]


class Settings(ctypes.Structure):
    """What all tensors of a call share, as adafactor.cpp has it."""

    _fields_ = [
        *[(name, ctypes.c_long) for name in ("n_items", "n_threads", "scale_parameter")],
        *[(name, ctypes.c_double) for name in ("eps1", "eps2", "clip_threshold", "beta1", "weight_decay")],
    ]


def update(
    weights: Sequence[Tensor],
    states: Sequence[dict[str, Any]],
    group: dict[str, Any],
    mixes: Sequence[float],
    rates: Sequence[float],
) -> None:
    """Update weights of one dtype that `takes` takes, and their states, but for `step`. Of each, `mixes` has the share
    of the new squares in the moving averages, and `rates` the step size before parameter scaling."""
    loaded = library()
    assert loaded is not None
    items = (Item * len(weights))(*map(_item, weights, states, mixes, rates))
    settings = Settings(
        n_items=len(weights),
        n_threads=torch.get_num_threads(),
        scale_parameter=group["scale_parameter"],
        eps1=group["eps1"],
        eps2=group["eps2"],
        clip_threshold=group["clip_threshold"] or 0.0,
        beta1=group["beta1"] or 0.0,
        weight_decay=group["weight_decay"],
    )
    getattr(loaded, f"seqbench_adafactor_{NAMES[weights[0].dtype]}")(items, ctypes.byref(settings))
    torch.autograd.graph.increment_version(weights)  # as every in-place operation of torch does


def _item(weight: Tensor, state: dict[str, Any], mix: float, rate: float) -> tuple[int | float | None, ...]:
    assert weight.grad is not None
    pointers = weight.data_ptr(), weight.grad.data_ptr()
    mean = state["mean"].data_ptr() if "mean" in state else None
    if "square" in state:
        return *pointers, None, None, state["square"].data_ptr(), mean, 0, weight.numel(), 1, mix, rate
    n, m = weight.shape[-2:]
    averages = state["row"].data_ptr(), state["column"].data_ptr()
    return *pointers, *averages, None, mean, weight.numel() // (n * m), n, m, mix, rate
