"""A run that has trained, with the weights that its settings select: what `eval` and `analyze` start from."""

from __future__ import annotations

from pathlib import Path

from seqbench.config.schema import Config
from seqbench.engine.assemble import assemble_task
from seqbench.engine.distributed import World
from seqbench.engine.log import Log, MetricsFile
from seqbench.engine.run import build
from seqbench.engine.runtime import Run, require_same_data
from seqbench.errors import UserError


def selected_run(config: Config, folder: Path) -> tuple[Run, int]:
    """The run with its selected weights, and the step that they are of. Raises `UserError` where there are none, or
    where the data are not those that it was trained on."""
    task = assemble_task(config)
    world = World(config.train)
    run = build(config, world, Log(MetricsFile(folder / "metrics.jsonl"), True), task, folder)
    payload = run.checkpoints.load_selected(config.train.select)
    if payload is None:
        payload = run.checkpoints.load_last()
        if payload is None:
            raise UserError(f"There is no checkpoint in {folder}; {run.checkpoints.remedy()}.")
        run.optimizer.load_state_dict(payload["optimizer"])  # it may hold averages; a selected one's weights are these
    require_same_data(run, payload)
    run.learner.load_state_dict(payload["network"])
    return run, payload["progress"]["step"]
