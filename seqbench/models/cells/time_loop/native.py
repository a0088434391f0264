"""The compiled recurrences of cpp/; where they cannot be built, the reference implementation runs instead."""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch
from torch import Tensor

from seqbench import compiled

SOURCE = Path(__file__).with_name("cpp") / "recurrence.cpp"


def library() -> ctypes.CDLL | None:
    """The loaded library; None where it cannot be built, which is said on stderr."""
    return compiled.library(SOURCE, "the recurrences")


class Call(ctypes.Structure):
    """The arguments of one call, as recurrence.cpp has them."""

    _fields_ = [
        *[(name, ctypes.c_long) for name in ("steps", "rows", "n", "width", "n_threads", "nonlinearity")],
        *[(name, ctypes.c_long) for name in ("P", "Q", "complex")],
        ("permutation", ctypes.c_void_p),
        ("d", ctypes.c_long),
        *[(name, ctypes.c_void_p) for name in ("ids", "x", "input_weight", "weight", "bias", "before", "H")],
        ("c", ctypes.c_long),
        *[
            (name, ctypes.c_void_p)
            for name in ("readout", "readout_bias", "Y", "G", "later", "bias_grad", "weight_grad")
        ],
        *[(name, ctypes.c_void_p) for name in ("input_weight_grad", "readout_grad", "x_grad")],
    ]


def run(direction: str, dtype: torch.dtype, **arguments: int | Tensor | None) -> None:
    """`direction` is forward or backward. Tensors are contiguous, on the CPU and of `dtype`; `ids` and `permutation`
    are int64 and `bias_grad` float64."""
    loaded = library()
    assert loaded is not None
    call = Call(n_threads=torch.get_num_threads())
    for name, value in arguments.items():
        if isinstance(value, Tensor):
            assert value.is_contiguous() and value.device.type == "cpu", name
            value = value.data_ptr()
        setattr(call, name, value)
    getattr(loaded, f"seqbench_{direction}_{'double' if dtype == torch.float64 else 'float'}")(ctypes.byref(call))
