"""C++ sources of this package, built at first use and kept, and the setting `backend` that asks for them or not.

`torch.utils.cpp_extension` compiles a folder of them once for each version of them, of torch and of the processor, into
torch's folder of extensions ($TORCH_EXTENSIONS_DIR, or the user's cache). Where that cannot be done the caller computes
in plain PyTorch instead, and the reason is said once.
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

from seqbench.errors import UserError

BACKENDS = ("auto", "reference", "native")  # native: compiled
FLAGS = ["-O3", "-march=native", "-std=c++17", "-pthread", "-fno-math-errno", "-fno-trapping-math"]


class BackendError(UserError, RuntimeError):
    """backend=native where there is nothing compiled for the device, type or shape."""


def checked_backend(backend: str) -> str:
    """The backend, if there is such a one. Raises `ValueError`."""
    if backend not in BACKENDS:
        raise ValueError(f"backend is one of {', '.join(BACKENDS)}, not {backend!r}")
    return backend


@functools.cache
def library(source: Path, what: str) -> ctypes.CDLL | None:
    """The library of a source file and the headers beside it; None where it cannot be built, which is said on stderr.

    `what` names, in the plural, what it computes: "the recurrences".
    """
    try:
        return ctypes.CDLL(_built(source, what))
    except (OSError, RuntimeError, ImportError, subprocess.SubprocessError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        print(f"seqbench: {what} run in plain PyTorch, since they cannot be compiled ({reason}).", file=sys.stderr)
        return None


def _built(source: Path, what: str) -> str:
    """The path of the compiled library. Processes that want it at the same time wait for the one that builds it."""
    from torch.utils import cpp_extension

    sources = b"".join(path.read_bytes() for path in sorted(source.parent.iterdir()))
    key = hashlib.sha256(sources + f"{FLAGS} {torch.__version__} {_processor()}".encode()).hexdigest()[:12]
    name = f"seqbench_{source.stem}_{key}"
    folder = Path(os.environ.get("TORCH_EXTENSIONS_DIR") or cpp_extension.get_default_build_root()) / name
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "done"
    with FileLock(folder / "building"):
        if not done.exists():
            (folder / "lock").unlink(missing_ok=True)  # torch's own, which a killed build leaves behind for ever
            print(f"seqbench: compiling {what}, once on this machine.", file=sys.stderr)
            os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # pip's ninja may lie there
            load = functools.partial(cpp_extension.load, build_directory=str(folder), is_python_module=False)
            load(name, [str(source)], extra_cflags=FLAGS, extra_ldflags=["-pthread"])
            done.touch()
    return str(folder / f"{name}.so")


def lacks_avx512() -> bool:
    """Whether this is an x86 CPU without AVX-512: torch multiplies in half precision there, but number by number."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return x86 and not torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def _processor() -> str:
    """What -march=native depends on: a cache in a home folder may be shared by different machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return platform.processor()
