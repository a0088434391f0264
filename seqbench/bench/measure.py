"""Measuring time and memory: contestants alternate in one process, and peak memory is read in a fresh one.

A machine's speed drifts by a third within minutes, so times from different minutes are not compared: in each round
every contestant runs once, in an order that is reversed every other round, and a ratio is the median of the rounds'
ratios.
"""

from __future__ import annotations

import ctypes
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from seqbench.bench.catalog import load
from seqbench.bench.suite import Shape


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def alternate(steps: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each step in each round, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        names = list(steps) if number % 2 else list(steps)[::-1]
        for name in names:
            gc.collect()
            start = time.perf_counter()
            steps[name]()
            _wait()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: list[float], base: list[float]) -> dict[str, float]:
    """Of two contestants' times, round by round: median, smallest and largest."""
    ratios = [measured / reference for measured, reference in zip(seconds, base, strict=True)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def peak_memory(suite: str, contestant: str, shape: Shape, threads: int) -> float | None:
    """MiB that one step adds to what was allocated before, in a process of its own; None where that one failed."""
    code = "import sys; from seqbench.bench.measure import weigh; weigh(*sys.argv[1:])"
    arguments = [suite, contestant, str(threads), *[f"{name}={value}" for name, value in shape.items()]]
    child = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    return float(child.stdout.split()[-1]) if child.returncode == 0 else None


def weigh(suite: str, contestant: str, threads: str, *shape: str) -> None:
    """The child of `peak_memory`: prints MiB. Buffers that a step leaves for the next one count."""
    torch.set_num_threads(int(threads))
    (chosen,) = [entrant for entrant in load(suite).contestants if entrant.name == contestant]
    sizes = {name: int(value) for name, value in (setting.split("=") for setting in shape)}
    chosen.build(**{**sizes, **load(suite).smaller})()  # libraries and kernels are loaded
    step = chosen.build(**sizes)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        torch.cuda.synchronize()
        print((torch.cuda.max_memory_allocated() - before) / 2**20)
        return
    ctypes.CDLL(None).malloc_trim(0)  # or what has been freed would serve again, uncounted
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from what is resident now
    before = _status("VmRSS")
    step()
    print((_status("VmHWM") - before) / 2**10)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
