"""How long a run's steps take on this machine: its first ones, timed in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from seqbench.config.schema import Config, load, save
from seqbench.engine.assemble import assemble_task
from seqbench.engine.distributed import World
from seqbench.engine.log import Log, MetricsFile
from seqbench.engine.loop import train_step
from seqbench.engine.room import within_memory
from seqbench.engine.run import build
from seqbench.errors import RunError, UserError, stopped

_SECONDS, _N_STEPS = 5.0, 20  # whichever comes first, after a step that is not timed


def probe(config: Config) -> tuple[float, int]:
    """Seconds for a step, and how many steps the run has. Evaluations are not in it. Raises `UserError` where the run
    cannot be trained here."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "config.yaml"
        save(config, path)
        done = subprocess.run(
            [sys.executable, "-m", "seqbench.engine.probe", str(path)], capture_output=True, text=True
        )
    if done.returncode:
        words = done.stderr.strip().splitlines()
        raise UserError(words[-1].removeprefix("seqbench: ") if words else f"its process ended with {done.returncode}")
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def _timed(config: Config, folder: Path) -> tuple[float, int]:
    with within_memory(config):
        world = World(config.train)
        run = build(config, world, Log(MetricsFile(folder / "metrics.jsonl"), False), assemble_task(config), folder)
        train_step(run)
        started = time.perf_counter()
        n_steps, seconds = 0, 0.0
        while seconds < _SECONDS and n_steps < _N_STEPS:
            run.progress.step += 1
            float(train_step(run)[0])  # waits for a GPU
            n_steps += 1
            seconds = time.perf_counter() - started
    return seconds / n_steps, run.max_steps


if __name__ == "__main__":
    path = Path(sys.argv[1])
    try:
        print(json.dumps(_timed(load(path), path.parent)))
    except (UserError, RunError) as error:
        sys.exit(stopped(str(error), 2))
