"""The record of a finished run: what was run, what it reached, and where."""

from __future__ import annotations

import functools
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from seqbench import __version__
from seqbench.config.identity import hashed, run_id
from seqbench.config.plugins import versions_of
from seqbench.config.schema import Config
from seqbench.contracts.learner import count_parameters
from seqbench.data.files.atomic import write_whole
from seqbench.engine.distributed import World
from seqbench.engine.runtime import Run
from seqbench.errors import UserError
from seqbench.report.analyses import merged_analyses
from seqbench.report.evaluations import merged
from seqbench.report.ledger import write_record
from seqbench.report.places import Places
from seqbench.report.record import FINISHED, dumps, read_content


def make_record(config: Config, run: Run, metrics: dict[str, dict[str, float]], tested_step: int) -> dict[str, Any]:
    """The ledger's entry. Times and rates include evaluation and, over resumed runs, every session."""
    state = run.progress
    return {
        "run_id": run_id(config),
        "status": FINISHED,
        "experiment": config.experiment,
        "config": hashed(config),
        "seed": config.seed,
        "selected_step": tested_step,
        "steps": state.step,
        "epochs": round(state.step * config.train.accumulate / run.task.n_batches("train"), 3),
        "metrics": {**metrics, "baseline": run.task.baseline},
        "parameters": count_parameters(run.learner),
        "wall_seconds": round(state.seconds, 1),
        "tokens_per_second": round(state.n_tokens / max(state.seconds, 1e-9), 1),
        "peak_memory_mib": peak_memory_mib(run.world),
        "n_resumed": state.n_resumed,
        "n_processes": run.world.size,
        "n_threads": run.world.n_threads,
        "precision": config.train.precision,
        "deterministic": config.train.deterministic,
        "device": device_name(run.world),
        "versions": {**versions(), **versions_of(config.plugins)},
        **commit(),
        "task_version": run.task.version,
        "train_loss": run.log.file.last("train"),
        "curve": {"steps": state.history_steps, run.task.selection: state.history},
    }


def with_later_findings(record: dict[str, Any], ledger: Path) -> dict[str, Any]:
    """The record, with what `eval` and `analyze` found, according to the ledger, of a run of this id that came to the
    same numbers; where both tell of the same settings, the record does."""
    try:
        before = read_content(ledger / f"{record['run_id']}.json")
    except UserError:  # none yet, or one that a merge has torn: the new one mends it
        return record
    if before["metrics"] != record["metrics"]:
        return record
    later = {}
    for name, merge in (("evaluations", merged), ("analyses", merged_analyses)):
        if name in before:
            later[name] = merge(before[name], record.get(name, {}))
    return {**record, **later}


def keep_record(record: dict[str, Any], folder: Path, ledger: Path) -> None:
    """Write a record into the ledger and into its run's folder, whole or not at all."""
    write_record(record, ledger)
    write_whole(folder / "record.json", dumps(record))


def restore_in_ledger(record: dict[str, Any], places: Places, say: Callable[[str], None]) -> None:
    """Write the record of a finished run, as its folder holds it, into a ledger that has it not, or otherwise."""
    path, whole = places.record(record["run_id"]), with_later_findings(record, places.runs)
    if path.is_file() and path.read_bytes() == dumps(whole).encode():
        return
    if path.exists():
        say(f"{path} was not the run's own record and is written again.")
    write_record(whole, places.runs)


def peak_memory_mib(world: World) -> float:
    """Largest memory of this process so far, in MiB: allocated on the GPU, or resident on the CPU."""
    if world.device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(world.device) / 2**20, 1)
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


def device_name(world: World) -> str:
    if world.device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(world.device)}"
    cpu = Path("/proc/cpuinfo")  # Linux has it
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"cpu: {names[0] if names else platform.processor()}"


def versions() -> dict[str, str]:
    packages = ("torch", "numpy", "hydra-core", "omegaconf")
    found = {name: metadata.version(name) for name in packages}
    return {"seqbench": __version__, "python": platform.python_version(), **found, "platform": sys.platform}


@functools.cache
def commit() -> dict[str, Any]:
    """The checkout's commit, and whether the code that a run uses differs from it; nulls outside a checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return {"commit": None, "dirty": None}
    # the ledger and the outputs may differ without changing a result
    status = _git(root, "status", "--porcelain", "--", "seqbench", "conf", "pyproject.toml")
    return {"commit": _git(root, "rev-parse", "HEAD"), "dirty": bool(status) if status is not None else None}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, env=os.environ)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
