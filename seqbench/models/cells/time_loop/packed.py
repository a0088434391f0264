"""Products with weights packed in 1 or 4 bits, and recurrences of them (cpp/packed.cpp): to be read, not to be trained.

Where weights and activations have 1 bit each, products are XNOR and a count of bits; where weights have at most 4 and
activations at most 8, sums of products of small whole numbers. Either is exact.

Shapes: T time, B batch, R rows, D features, K outputs, H hidden size.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from seqbench import compiled
from seqbench.compiled import BackendError
from seqbench.contracts.quantizer import Quantizer
from seqbench.contracts.ranges import OneOf
from seqbench.models.cells.quantizer.binary import Binary
from seqbench.models.cells.quantizer.grid import Grid, Levels

SOURCE = Path(__file__).with_name("cpp") / "packed.cpp"
Backend = Annotated[str, OneOf("auto", "reference", "packed")]


class _Matrix(ctypes.Structure):
    _fields_ = [
        *[(name, ctypes.c_void_p) for name in ("data", "codes", "scale")],
        *[(name, ctypes.c_long) for name in ("rows", "n", "bits", "factor", "zero", "divisor")],
    ]


class _Coder(ctypes.Structure):
    _fields_ = [
        *[(name, ctypes.c_long) for name in ("scale", "sign")],
        *[(name, ctypes.c_double) for name in ("shift", "slope")],
        *[(name, ctypes.c_long) for name in ("offset", "top", "factor", "zero", "divisor")],
    ]


class Call(ctypes.Structure):
    """The arguments of one call, as packed.cpp has them."""

    _fields_ = [
        ("weight", _Matrix),
        ("coder", _Coder),
        *[(name, ctypes.c_long) for name in ("steps", "rows", "n_threads")],
        *[(name, ctypes.c_void_p) for name in ("x", "out", "whole", "gates", "h_before", "c", "H")],
    ]


@dataclass(frozen=True)
class Packed:
    """W (K, D), packed for activations of one quantiser, in `bits` a weight: 1 or 4."""

    data: Tensor
    codes_K: Tensor  # a row's codes, added up
    scale_K: Tensor
    n_columns: int
    bits: int
    weights: Levels
    activations: Grid

    def matrix(self) -> _Matrix:
        pointers = [tensor.data_ptr() for tensor in (self.data, self.codes_K, self.scale_K)]
        levels = self.weights
        shape = (len(self.codes_K), self.n_columns)
        return _Matrix(*pointers, *shape, self.bits, levels.factor, levels.zero, levels.divisor)

    def coder(self) -> _Coder:
        levels, is_sign = self.activations.levels, isinstance(self.activations, Binary)
        scale = 0 if self.activations.scale == "one" else 2 if is_sign else 1
        numbers = (levels.offset, 2**self.activations.bits - 1, levels.factor, levels.zero, levels.divisor)
        return _Coder(scale, int(is_sign), levels.shift, levels.slope, *numbers)


class PackedWeights:
    """A model's weights, each packed when it is first asked for, and again where it has changed since."""

    def __init__(self, weights: Quantizer, activations: Quantizer):
        if activations.scale == "tensor":
            raise ValueError("activations.scale=tensor would make a position depend on others; row is of a position")
        self.weights, self.activations = weights, activations
        self._kept: dict[int, tuple[Tensor, int, Packed]] = {}

    def serve(self, backend: str, weight: Tensor, trains: bool) -> bool:
        """Whether products are to be of packed weights, of which `weight` is one. Raises `BackendError` where the
        backend says so and they cannot."""
        if backend == "reference" or trains or torch.is_grad_enabled() or compiled.plain_only():
            return False
        can = weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.float64)
        can = can and _can_pack(self.weights, self.activations) and library() is not None
        if not can and backend == "packed":
            raise BackendError(
                "backend=packed, but packed weights are for float32 or float64 on a CPU, of at most 4 bits, with "
                "activations of at most 8, both in even steps (quantizer uniform, linear or binary)."
            )
        return can

    def of(self, weight: Tensor) -> Packed:
        kept = self._kept.get(id(weight))
        if kept is None or kept[0] is not weight or kept[1] != weight._version:
            kept = weight, weight._version, pack(weight, self.weights, self.activations)
            self._kept[id(weight)] = kept
        return kept[2]

    def clear(self) -> None:
        self._kept.clear()


def _can_pack(weights: Quantizer, activations: Quantizer) -> bool:
    """Whether there are products for these."""
    if not isinstance(weights, Grid) or not isinstance(activations, Grid):
        return False
    return weights.bits <= 4 and activations.bits <= 8


@torch.no_grad()
def pack(weight_KD: Tensor, weights: Quantizer, activations: Quantizer) -> Packed:
    """The weights as they are quantised now."""
    assert isinstance(weights, Grid) and isinstance(activations, Grid)
    code_KD, scale = weights.codes(weight_KD)
    in_bits = weights.bits == 1 and activations.bits == 1
    data = _bits(code_KD) if in_bits else _nibbles(code_KD)
    codes_K, scale_K = code_KD.sum(1).to(torch.int32), scale.expand(len(code_KD), 1)[:, 0].contiguous()
    return Packed(data, codes_K, scale_K, code_KD.shape[1], 1 if in_bits else 4, weights.levels, activations)


def linear(packed: Packed, x_RD: Tensor, bias_K: Tensor | None = None) -> Tensor:
    """(R, K): q(x) W^T + b."""
    out_RK = x_RD.new_zeros(len(x_RD), len(packed.codes_K))
    if bias_K is not None:
        out_RK += bias_K
    _run("linear", packed, x_RD.dtype, rows=len(x_RD), x=x_RD.contiguous(), out=out_RK)
    return out_RK


def whole_numbers(packed: Packed, x_RD: Tensor) -> Tensor:
    """(R, K) int32: what `linear` sums up, before any scale and divisor."""
    whole_RK = torch.empty(len(x_RD), len(packed.codes_K), dtype=torch.int32)
    _run("linear", packed, x_RD.dtype, rows=len(x_RD), x=x_RD.contiguous(), whole=whole_RK)
    return whole_RK


def recurrence(packed: Packed, gates_TBK: Tensor, h_BH: Tensor, c_BH: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Outputs (T, B, H), quantised, and an LSTM's last cell. `gates_TBK`, what the inputs give, is overwritten."""
    n_steps, n_rows, _ = gates_TBK.shape
    h_TBH = gates_TBK.new_empty(n_steps, n_rows, packed.n_columns)
    last_BH = None if c_BH is None else c_BH.clone(memory_format=torch.contiguous_format)
    tensors = {"gates": gates_TBK, "h_before": h_BH.contiguous(), "H": h_TBH, "c": last_BH}
    _run("rnn" if c_BH is None else "lstm", packed, gates_TBK.dtype, steps=n_steps, rows=n_rows, **tensors)
    return h_TBH, last_BH


def library() -> ctypes.CDLL | None:
    """The loaded library; None where it cannot be built, which is said on stderr."""
    return compiled.library(SOURCE, "products of packed weights")


def _run(what: str, packed: Packed, dtype: torch.dtype, **arguments: Tensor | int | None) -> None:
    loaded = library()
    assert loaded is not None
    call = Call(weight=packed.matrix(), coder=packed.coder(), n_threads=torch.get_num_threads())
    for name, value in arguments.items():
        if isinstance(value, Tensor):
            assert value.is_contiguous() and value.device.type == "cpu", name
            value = value.data_ptr()
        setattr(call, name, value)
    assert packed.scale_K.dtype == dtype
    getattr(loaded, f"seqbench_packed_{what}_{'double' if dtype == torch.float64 else 'float'}")(ctypes.byref(call))


def _nibbles(code_KD: Tensor) -> Tensor:
    """As packed_products.h lays out 4 bits."""
    code = _filled(code_KD.to(torch.uint8), 16, 8).unflatten(1, (-1, 2, 4)).unflatten(0, (-1, 16))
    low, high = code.unbind(3)  # groups, rows, blocks, columns
    return (low | high << 4).transpose(1, 2).contiguous()


def _bits(code_KD: Tensor) -> Tensor:
    """As packed_products.h lays out 1 bit."""
    code = _filled(code_KD.long(), 8, 64).unflatten(1, (-1, 64)).unflatten(0, (-1, 8))
    word = (code << torch.arange(64)).sum(-1)  # groups, rows, words; no two have a bit in common
    return word.transpose(1, 2).contiguous()


def _filled(code_KD: Tensor, n_rows: int, n_columns: int) -> Tensor:
    (k, d) = code_KD.shape
    return F.pad(code_KD, (0, -d % n_columns, 0, -k % n_rows))
