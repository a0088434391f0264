"""What a run is while it runs, and how it is saved and restored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from seqbench.compiled import lacks_avx512
from seqbench.contracts.evaluation import Evaluation
from seqbench.contracts.learner import Learner
from seqbench.contracts.pytree import State
from seqbench.contracts.schedule import Schedule
from seqbench.contracts.task import Task
from seqbench.contracts.task_version import same_data
from seqbench.engine.checkpoint import Checkpoints
from seqbench.engine.distributed import World
from seqbench.engine.log import Log
from seqbench.errors import UserError
from seqbench.optim.groups import GroupedOptimizer

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def is_emulated(precision: str, device: torch.device) -> bool:
    """Whether `device` computes in `precision` number by number, tens of times slower than in fp32."""
    return precision in PRECISIONS and device.type == "cpu" and lacks_avx512()


@dataclass
class Progress:
    """Where a run stands; with weights and optimizer, what a checkpoint holds."""

    step: int = 0
    carry: State = None
    history: list[float] = field(default_factory=list)  # selection metric on valid, one an evaluation
    history_steps: list[int] = field(default_factory=list)
    running: list[Any] = field(default_factory=lambda: [0.0, 0])  # since the last evaluation: own loss, all targets
    n_tokens: int = 0
    seconds: float = 0.0
    n_resumed: int = 0

    def best_step(self) -> int:
        return self.history_steps[self.history.index(min(self.history))]


@dataclass
class Run:
    """Everything the loop works on, built by `run.py`."""

    task: Task
    learner: Learner
    trained: nn.Module  # `learner`, or its wrapper for several processes
    optimizer: GroupedOptimizer
    schedule: Schedule
    world: World
    log: Log
    checkpoints: Checkpoints
    scaler: torch.amp.GradScaler
    evaluation: Evaluation
    settings: Any  # TrainConfig
    seed: int
    max_steps: int
    eval_every: int
    log_every: int
    save_every: int | None
    progress: Progress = field(default_factory=Progress)

    def autocast(self):
        dtype = PRECISIONS.get(self.settings.precision)
        return torch.autocast(self.world.device.type, dtype=dtype, enabled=dtype is not None)


def save(run: Run, evaluated: bool, best: bool) -> None:
    """Write a checkpoint of this step; process 0 does, the others hand over their part of the carried state. The best
    one, and those whose mean will be tested, hold the weights that were evaluated, which an optimizer that averages
    does not train."""
    carry = run.world.gather_state(run.progress.carry)
    (total,) = run.world.sum([float(run.progress.running[0])])
    run.progress.running[0] = total if run.world.leads else 0.0  # now, so that a resumed run adds in the same order
    if not run.world.leads:
        return
    payload = {
        "network": run.learner.state_dict(),  # its tensors are the weights themselves
        "optimizer": run.optimizer.state_dict(),
        "scaler": run.scaler.state_dict(),
        "progress": {**vars(run.progress), "carry": carry},
        "task": run.task.version,
        "run_id": run.checkpoints.folder.parent.name,
        "metrics": run.log.file.sync(),
    }
    if evaluated:
        with run.optimizer.averaged() as differs:
            if differs:  # before the other, or a run killed in between would go on without it
                run.checkpoints.save_evaluated(payload, run.progress.step, best)
                best = evaluated = False
    run.checkpoints.save(payload, run.progress.step, best, evaluated)


def load_last(run: Run) -> dict[str, Any] | None:
    """The newest sound checkpoint that metrics.jsonl agrees with, as process 0 finds it, in all processes."""
    payload = run.checkpoints.load_last(run.log.file) if run.world.leads else None
    step = payload["progress"]["step"] if payload else -1
    (step,) = run.world.sum([step if run.world.leads else 0])
    return payload if run.world.leads or step < 0 else run.checkpoints.load_step(int(step))


def require_same_data(run: Run, payload: dict[str, Any], otherwise: str = "") -> None:
    """Raise `UserError` unless the task's data are those that the checkpoint's run began with."""
    version = run.task.version
    begun = payload.get("task", version)  # earlier versions did not keep it
    if not same_data(begun, version):
        raise UserError(
            f"The run began with other data ({_said(begun)}) than are there now ({_said(version)}): name the folder "
            f"of those as data_dir=<folder>{otherwise}."
        )


def restore(run: Run, payload: dict[str, Any]) -> None:
    """Stand where the checkpoint stood. Raises `UserError` if the data have changed since."""
    require_same_data(run, payload, otherwise=", or force=true starts over")
    try:
        run.learner.load_state_dict(payload["network"])
        run.optimizer.load_state_dict(payload["optimizer"])
        run.scaler.load_state_dict(payload["scaler"])
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"The checkpoint of step {payload['progress']['step']} in {run.checkpoints.folder} does not fit this run "
            f"({str(error).splitlines()[0]}); force=true starts over."
        ) from error
    run.progress = Progress(**payload["progress"])
    run.progress.carry = run.world.shard_state(run.progress.carry)
    if not run.world.leads:
        run.progress.running[0] = 0.0  # the saved sum is that of all processes
    run.progress.n_resumed += 1


def _said(version: dict[str, Any]) -> str:
    stated = {name: str(value) for name, value in version.items() if value is not None}
    return ", ".join(f"{name} {value[:12] if name.endswith('sha256') else value}" for name, value in stated.items())
