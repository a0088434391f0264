"""From a config to a finished run."""

from __future__ import annotations

import contextlib
import errno
import math
import shutil
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from seqbench.config.identity import former_run_id, hashed, run_id
from seqbench.config.schema import Config, save
from seqbench.contracts.learner import count_parameters
from seqbench.contracts.task import Task
from seqbench.data.files.atomic import is_alive
from seqbench.engine.assemble import (
    assemble_evaluation,
    assemble_learner,
    assemble_optimizer,
    assemble_schedule,
    assemble_task,
)
from seqbench.engine.checkpoint import Checkpoints
from seqbench.engine.distributed import World
from seqbench.engine.initial import begin_from_another
from seqbench.engine.interrupt import stop_signals
from seqbench.engine.log import Log, MetricsFile
from seqbench.engine.loop import evaluate, fit
from seqbench.engine.mirror import check_mirror, make_mirrors
from seqbench.engine.payload import Expected, optimizer_sizes, shapes_of
from seqbench.engine.record import commit, keep_record, make_record, with_later_findings
from seqbench.engine.room import made, within_memory
from seqbench.engine.runtime import Progress, Run, is_emulated, load_last, restore
from seqbench.engine.startup import leave_the_compiler_out
from seqbench.errors import BusyError, UserError
from seqbench.report.places import Places
from seqbench.report.record import FINISHED, read_content


def run_folder(config: Config) -> Path:
    """The folder of this run, which the first edition may have begun under another id: it hashed 20 and 20.0 apart."""
    root = Path(config.output_dir)
    folder, former = root / run_id(config), root / former_run_id(config)
    return former if former.is_dir() and not folder.is_dir() else folder


def build(config: Config, world: World, log: Log, task: Task, folder: Path) -> Run:
    """The run at step 0. Weights depend on the seed alone."""
    # not use_deterministic_algorithms, which also imports the compiler
    leave_the_compiler_out()
    torch.set_deterministic_debug_mode("error" if config.train.deterministic else "default")
    torch.manual_seed(config.seed)
    learner = assemble_learner(config, task, world.peers).to(world.device)
    n_batches, accumulate = task.n_batches("train"), config.train.accumulate
    steps_per_epoch = n_batches / accumulate  # a step may reach into the next epoch
    max_steps = config.train.max_steps or math.ceil((config.train.max_epochs or 0) * n_batches / accumulate)
    if task.equal_batches:  # else some processes may have no sequence of a small batch
        world.check_rows(task.batch("train", 0))
    optimizer = assemble_optimizer(config, learner, task, world.peers)
    expected = Expected(
        folder.name, shapes_of(learner.state_dict()), optimizer_sizes(optimizer.state_dict()), max_steps
    )
    return Run(
        task=task,
        learner=learner,
        trained=world.wrap(learner),
        optimizer=optimizer,
        schedule=assemble_schedule(config, max_steps, steps_per_epoch),
        world=world,
        log=log,
        checkpoints=Checkpoints(
            folder / "checkpoints",
            log.say,
            config.train.average_last,
            expected.fault,
            keep_all=config.checkpoint.keep == "all",
            parameters={name for name, _ in learner.named_parameters()},
        ),
        scaler=torch.amp.GradScaler(world.device.type, enabled=config.train.precision == "fp16"),
        evaluation=assemble_evaluation(config),
        settings=config.train,
        seed=config.seed,
        max_steps=max_steps,
        eval_every=config.train.eval_every or math.ceil(steps_per_epoch),
        log_every=config.log.every,
        save_every=config.checkpoint.every,
    )


def train(config: Config, world: World) -> dict[str, Any] | None:
    """Train (or go on training) and test; the record, in process 0. Raises `UserError`, `RunError`."""
    folder = run_folder(config)
    try:
        with within_memory(config):
            task = assemble_task(config) if world.leads else None
            world.barrier()  # process 0 has prepared the data
            task = task or assemble_task(config)
            log = Log(MetricsFile(folder / "metrics.jsonl"), world.leads, world.size)
            run = build(config, world, log, task, folder)  # all of it before anything is written
            check_mirror(config.log.mirror, config.log.project)
            if world.leads:
                with made(folder, Places(config).runs):
                    Places(config).require_writable()  # or a run might end with nowhere to go
            with _locked(folder) if world.leads else contextlib.nullcontext():
                if world.leads and config.force:
                    _start_over(folder)
                if world.leads:
                    _drop_dead_launches(folder)
                world.barrier()
                return _train(config, run, folder)
    except OSError as error:
        raise _disk_error(error, folder) from error


def _train(config: Config, run: Run, folder: Path) -> dict[str, Any] | None:
    commit()  # as it stands at the start, not when the run ends
    payload = load_last(run)
    if payload is None:
        begin_from_another(config, run)
    else:
        restore(run, payload)
        run.log.say(f"Resuming {folder.name} at step {run.progress.step}.")
    if run.world.leads:
        run.log.file.rewind((payload or {}).get("metrics"), run.progress.step)
        save(config, folder / "config.yaml")
        settings = config.log
        run.log.mirrors = make_mirrors(
            settings.mirror, settings.project, folder.name, folder, hashed(config), run.log.say
        )
        counts = count_parameters(run.learner)
        run.log.say(f"Run {folder.name}: {counts['total']:,} parameters, {counts['recurrent']:,} of them recurrent.")
    if is_emulated(precision := config.train.precision, run.world.device):
        run.log.say(f"This CPU has no AVX-512: train.precision={precision} is many times slower than fp32 here.")
    try:
        with stop_signals(heeded=run.world.size == 1) as stopping:
            fit(run, lambda: stopping() or run.log.why_stop())
        return _finish(config, run, folder)
    finally:
        run.log.close()


def _finish(config: Config, run: Run, folder: Path) -> dict[str, Any] | None:
    run.world.barrier()
    tested_step, weights = run.progress.step, run.optimizer.averaged()
    selected = run.checkpoints.load_selected(config.train.select)
    if selected is not None:
        run.learner.load_state_dict(selected["network"])
        tested_step, weights = Progress(**selected["progress"]).step, contextlib.nullcontext()  # it holds the averages
    with weights:
        metrics = {split: {**evaluate(run, split)[0], **run.optimizer.spent()} for split in ("valid", "test")}
    if not run.world.leads:
        return None
    runs = Places(config).runs
    record = make_record(config, run, metrics, tested_step)
    if folder.name != record["run_id"]:  # begun by the first edition
        record |= {"run_id": folder.name, "config": hashed(config, as_written=True)}
    record = with_later_findings(record, runs)
    keep_record(record, folder, runs)
    return record


def finished(config: Config) -> dict[str, Any] | None:
    """The record of this run if it has finished already."""
    try:
        record = read_content(run_folder(config) / "record.json")
    except UserError:  # never written, or not to its end
        return None
    return record if record["status"] == FINISHED else None


def _start_over(folder: Path) -> None:
    """Drop what an earlier run of this id has left; not the lock, nor what started this process."""
    for path in folder.iterdir():
        if path.is_dir() and not path.name.startswith("launch"):
            shutil.rmtree(path)
        elif path.is_file() and path.name != "lock":
            path.unlink()


def _drop_dead_launches(folder: Path) -> None:
    """Those of processes that were killed and could not remove them."""
    for path in folder.glob("launch-*"):
        pid = path.name.removeprefix("launch-")
        if pid.isdigit() and not is_alive(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _locked(folder: Path):
    """Exclusive use of a run folder; released by the system if the process dies."""
    lock = FileLock(folder / "lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(f"Another process is running {folder.name}; wait for it, or change a setting.") from None


def wait_for(config: Config) -> None:
    """Until no other process runs this config."""
    with FileLock(run_folder(config) / "lock"):
        pass


def _disk_error(error: OSError, folder: Path) -> UserError:
    path, reason = error.filename or folder, error.strerror or error
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return UserError(
            f"{path} cannot be saved: {reason}; the last good checkpoint is kept, and with room the same command "
            "resumes."
        )
    return UserError(f"Cannot write {path}: {reason}.")
