"""The compiled recurrences of cpp/, built at first use and kept.

`torch.utils.cpp_extension` compiles them once for each version of them, of torch and of the processor, into torch's
folder of extensions ($TORCH_EXTENSIONS_DIR, or the user's cache). Where that cannot be done the reference
implementation runs instead, and the reason is said once.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor

FOLDER = Path(__file__).with_name("cpp")
FLAGS = ["-O3", "-march=native", "-std=c++17", "-pthread", "-fno-math-errno", "-fno-trapping-math"]


@functools.cache
def library() -> ctypes.CDLL | None:
    """The loaded library; None where it cannot be built, which is said on stderr."""
    try:
        return ctypes.CDLL(_built())
    except (OSError, RuntimeError, ImportError, subprocess.SubprocessError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        print(f"seqbench: recurrences run in plain PyTorch, since they cannot be compiled ({reason}).", file=sys.stderr)
        return None


def _built() -> str:
    """The path of the compiled library. Processes that want it at the same time wait for the one that builds it."""
    from torch.utils import cpp_extension

    sources = b"".join(path.read_bytes() for path in sorted(FOLDER.iterdir()))
    key = hashlib.sha256(sources + f"{FLAGS} {torch.__version__} {_processor()}".encode()).hexdigest()[:12]
    name = f"seqbench_recurrence_{key}"
    folder = Path(os.environ.get("TORCH_EXTENSIONS_DIR") or cpp_extension.get_default_build_root()) / name
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "done"
    with FileLock(folder / "building"):
        if not done.exists():
            (folder / "lock").unlink(missing_ok=True)  # torch's own, which a killed build leaves behind for ever
            print("seqbench: compiling the recurrences, once on this machine.", file=sys.stderr)
            os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # pip's ninja may lie there
            load = functools.partial(cpp_extension.load, build_directory=str(folder), is_python_module=False)
            load(name, [str(FOLDER / "recurrence.cpp")], extra_cflags=FLAGS, extra_ldflags=["-pthread"])
            done.touch()
    return str(folder / f"{name}.so")


def _processor() -> str:
    """What -march=native depends on: a cache in a home folder may be shared by different machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return platform.processor()


class Call(ctypes.Structure):
    """The arguments of one call, as recurrence.cpp has them."""

    _fields_ = [
        *[(name, ctypes.c_long) for name in ("steps", "rows", "n", "width", "n_threads", "nonlinearity")],
        *[(name, ctypes.c_long) for name in ("P", "Q", "complex", "d")],
        *[(name, ctypes.c_void_p) for name in ("ids", "x", "input_weight", "weight", "bias", "before", "H")],
        ("c", ctypes.c_long),
        *[
            (name, ctypes.c_void_p)
            for name in ("readout", "readout_bias", "Y", "G", "later", "bias_grad", "weight_grad")
        ],
        *[(name, ctypes.c_void_p) for name in ("input_weight_grad", "readout_grad", "x_grad")],
    ]


def run(direction: str, dtype: torch.dtype, **arguments: int | Tensor | None) -> None:
    """`direction` is forward or backward. Tensors are contiguous, on the CPU and of `dtype`; `ids` is int64 and
    `bias_grad` float64."""
    loaded = library()
    assert loaded is not None
    call = Call(n_threads=torch.get_num_threads())
    for name, value in arguments.items():
        if isinstance(value, Tensor):
            assert value.is_contiguous() and value.device.type == "cpu", name
            value = value.data_ptr()
        setattr(call, name, value)
    getattr(loaded, f"seqbench_{direction}_{'double' if dtype == torch.float64 else 'float'}")(ctypes.byref(call))
