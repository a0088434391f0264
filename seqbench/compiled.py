"""C++ sources of this package, built at first use and kept, and the setting `backend` that asks for them or not.

The compiler ($CXX, or c++) builds a library once for each version of its sources, of torch and of the processor, in a
folder of $TORCH_EXTENSIONS_DIR or of the user's cache. Where that cannot be done the caller computes in plain PyTorch
instead, and the reason is said once.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from types import FrameType

import torch
from filelock import FileLock

from seqbench.errors import UserError

FLAGS = ["-O3", "-march=native", "-std=c++17", "-pthread", "-fno-math-errno", "-fno-trapping-math"]


_plain_only = ContextVar("plain_only", default=False)


class BackendError(UserError, RuntimeError):
    """backend=native where there is nothing compiled for the device, type or shape."""


class BuildError(RuntimeError):
    """A library that cannot be built, in one line."""


@contextlib.contextmanager
def plain_operations() -> Iterator[None]:
    """Within it models compute by PyTorch's own operations alone, whatever their `backend`: torch.func transforms
    those, and a `TorchFunctionMode` sees them, while compiled code is closed to both."""
    token = _plain_only.set(True)
    try:
        yield
    finally:
        _plain_only.reset(token)


def plain_only() -> bool:
    """Whether compiled code is to stay out of what is computed now."""
    return _plain_only.get()


@functools.cache
def library(source: Path, what: str) -> ctypes.CDLL | None:
    """The library of a source file and the headers beside it; None where it cannot be built, which is said on stderr.

    `what` names, in the plural, what it computes: "the recurrences".
    """
    try:
        return ctypes.CDLL(_built(source, what))
    except (OSError, RuntimeError) as error:
        print(f"seqbench: {what} run in plain PyTorch, since they cannot be compiled ({error}).", file=sys.stderr)
        return None


def _built(source: Path, what: str) -> str:
    """The path of the compiled library. Processes that want it at the same time wait for the one that builds it."""
    sources = b"".join(path.read_bytes() for path in sorted(source.parent.iterdir()))
    key = hashlib.sha256(sources + f"{FLAGS} {torch.__version__} {_processor()}".encode()).hexdigest()[:12]
    name = f"seqbench_{source.stem}_{key}"
    folder = Path(os.environ.get("TORCH_EXTENSIONS_DIR") or _cache() / "torch_extensions") / name
    folder.mkdir(parents=True, exist_ok=True)
    built, done = folder / f"{name}.so", folder / "done"
    with _interruptible(), FileLock(folder / "building"):
        if not _is_whole(built, done):
            print(f"seqbench: compiling {what}, once on this machine.", file=sys.stderr)
            done.unlink(missing_ok=True)
            draft = folder / "draft.so"
            _compile(source, draft)
            checksum = _checksum(draft)
            draft.replace(built)
            done.write_text(checksum)
    return str(built)


def _is_whole(built: Path, done: Path) -> bool:
    """A library that was cut short, by a full disk say, would end the process by a signal as it is loaded."""
    return done.exists() and built.exists() and done.read_text(errors="replace") == _checksum(built)


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _compile(source: Path, target: Path) -> None:
    """Raises `BuildError`."""
    compiler = shlex.split(os.environ.get("CXX") or "c++")
    command = [*compiler, *FLAGS, "-fPIC", "-shared", str(source), "-o", str(target)]
    try:
        process = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except FileNotFoundError:
        raise BuildError(f"no C++ compiler ({compiler[0]}) found") from None
    if process.returncode:
        raise BuildError(_telling_line(process.stdout + process.stderr) or f"{compiler[0]} ended without a word")


def _telling_line(output: str) -> str:
    """The last error of a compiler's output, or its last line where none is marked as one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line]
    return (errors or lines or [""])[-1]


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """A signal that a handler only notes, to stop after the step, stops at once here: the step has not begun, and a
    compiler that the same Ctrl-C ended has not failed."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
    untouched = (signal.SIG_IGN, signal.SIG_DFL, None)
    before = {number: signal.getsignal(number) for number in signals}
    noted = {number: handler for number, handler in before.items() if handler not in untouched}
    if threading.current_thread() is not threading.main_thread():  # where no handler can be set
        noted = {}
    for number in noted:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in noted.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


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
