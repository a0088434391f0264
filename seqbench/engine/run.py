"""From a config to a finished run: the only place that instantiates."""

from __future__ import annotations

import contextlib
import errno
import functools
import inspect
import json
import math
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import nn

from seqbench.config.identity import hashed, run_id
from seqbench.config.schema import Config, NetworkConfig, save
from seqbench.config.targets import class_at, nested
from seqbench.contracts.task import Task
from seqbench.engine.checkpoint import Checkpoints
from seqbench.engine.distributed import World
from seqbench.engine.interrupt import stop_signals
from seqbench.engine.log import Log, MetricsFile
from seqbench.engine.loop import evaluate, fit
from seqbench.engine.mirror import check_installed, make_mirrors
from seqbench.engine.record import commit, keep_record, make_record, with_evaluations
from seqbench.engine.runtime import Progress, Run, is_emulated, restore
from seqbench.errors import ConfigError, RunError, UserError
from seqbench.learners.network import Network, build_network, embedding_kind
from seqbench.learners.seq2seq import Seq2Seq, build_seq2seq
from seqbench.optim.groups import build_optimizer

_IDLE = {  # settings of the network that do nothing, by the kind of its embedding
    "none": ("d_embed", "cutoffs", "div_value", "init_range"),
    "one_hot": ("d_embed", "cutoffs", "div_value", "init_range"),
    "adaptive": ("init_range",),
    "learned": ("cutoffs", "div_value"),
}


def run_folder(config: Config) -> Path:
    return Path(config.output_dir) / run_id(config)


def ledger(config: Config) -> Path:
    return Path(config.results_dir) / "runs"


def data_folder(config: Config) -> Path:
    """Where prepared data live: `data_dir`, else $SEQBENCH_DATA, else the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(config.data_dir or os.environ.get("SEQBENCH_DATA") or Path(cache) / "seqbench")


def instantiate(kind: str, node: dict[str, Any], path: str = "", **derived: Any) -> Any:
    """The node's target with its arguments and those derived ones that its constructor takes. A node within it becomes
    a function that makes it, to which its parent passes what it derives by keyword. `path` is the node's place in the
    config. A `ValueError` of the constructor is the user's mistake."""
    name = path or kind
    target = class_at(kind, node["_target_"], name)
    settings = {key: value for key, value in node.items() if key != "_target_"}
    for key, inner in nested(kind, node["_target_"]).items():
        settings[key] = functools.partial(instantiate, inner, settings[key], f"{name}.{key}")
    accepted = inspect.signature(target).parameters
    try:
        return target(**settings, **{key: value for key, value in derived.items() if key in accepted})
    except ValueError as error:
        raise ConfigError(f"{name}: {error}.") from error


def build_task(config: Config) -> Task:
    return instantiate("task", config.task, data_dir=data_folder(config), source=config.source)


def build(config: Config, world: World, log: Log, task: Task, folder: Path) -> Run:
    """The run at step 0. Weights depend on the seed alone."""
    torch.use_deterministic_algorithms(config.train.deterministic)
    torch.manual_seed(config.seed)
    network = _build_network(config, task).to(world.device)
    _refuse_idle_settings(config, task)
    n_batches, accumulate = task.n_batches("train"), config.train.accumulate
    steps_per_epoch = n_batches / accumulate  # a step may reach into the next epoch
    max_steps = config.train.max_steps or math.ceil((config.train.max_epochs or 0) * n_batches / accumulate)
    schedule = instantiate("schedule", config.schedule, max_steps=max_steps, steps_per_epoch=steps_per_epoch)
    if task.equal_batches:  # else some processes may have no sequence of a small batch
        world.check_rows(task.batch("train", 0))
    return Run(
        task=task,
        network=network,
        trained=world.wrap(network),
        optimizer=_build_optimizer(config, network),
        schedule=schedule,
        world=world,
        log=log,
        checkpoints=Checkpoints(folder / "checkpoints", log.say, config.train.average_last),
        scaler=torch.amp.GradScaler(world.device.type, enabled=config.train.precision == "fp16"),
        evaluation=instantiate("evaluation", config.evaluation),
        settings=config.train,
        seed=config.seed,
        max_steps=max_steps,
        eval_every=config.train.eval_every or math.ceil(steps_per_epoch),
        log_every=config.log.every,
        save_every=config.checkpoint.every,
    )


def _build_network(config: Config, task: Task) -> Network | Seq2Seq:
    def make_head(d_input: int, n_outputs: int, embedding: nn.Module | None):
        if embedding is not None and "embedding" not in inspect.signature(class_at("head", target)).parameters:
            raise ConfigError(f"network.tied=true: {target} cannot share an embedding's weights.")
        return instantiate("head", config.head, d_input=d_input, n_outputs=n_outputs, embedding=embedding)

    def make_backbone(d_input: int):
        return instantiate("model", config.model, d_input=d_input)

    target, settings = config.head["_target_"], asdict(config.network)
    try:
        if task.io.n_source_tokens is None:
            return build_network(task.io, make_backbone, make_head, **settings)
        for name in ("cutoffs", "div_value"):  # of an adaptive embedding, which a translation's is not
            del settings[name]
        return build_seq2seq(task.io, make_backbone, make_head, **settings)
    except ValueError as error:
        raise ConfigError(f"{error}.") from error


def _refuse_idle_settings(config: Config, task: Task) -> None:
    kind = embedding_kind(task.io, config.network.embedding)
    for name in _IDLE[kind]:
        if getattr(config.network, name) != getattr(NetworkConfig(), name):
            raise ConfigError(f"network.{name} says nothing about this network, whose embedding is {kind}.")


def _build_optimizer(config: Config, network: Network | Seq2Seq):
    def make(target, parameters, settings):
        node = {"_target_": target or config.optimizer["_target_"], **settings}
        return instantiate("optimizer", node, params=parameters)

    settings = {key: value for key, value in config.optimizer.items() if key != "_target_"}
    try:
        return build_optimizer(network, network.parameter_groups(), make, settings)
    except ValueError as error:
        raise ConfigError(f"{error}.") from error


def train(config: Config, world: World) -> dict[str, Any] | None:
    """Train (or go on training) and test; the record, in process 0. Raises `UserError`, `RunError`."""
    folder = run_folder(config)
    try:
        task = build_task(config) if world.leads else None
        world.barrier()  # process 0 has prepared the data
        task = task or build_task(config)
        log = Log(MetricsFile(folder / "metrics.jsonl"), world.leads)
        run = build(config, world, log, task, folder)  # all of it before anything is written
        check_installed(config.log.mirror)
        if world.leads:
            ledger(config).mkdir(parents=True, exist_ok=True)  # or a run might end with nowhere to go
        with _locked(folder) if world.leads else contextlib.nullcontext():
            if world.leads and config.force:
                _start_over(folder)
            world.barrier()
            return _train(config, run, folder)
    except OSError as error:
        raise _disk_error(error, folder) from error


def _train(config: Config, run: Run, folder: Path) -> dict[str, Any] | None:
    commit()  # as it stands at the start, not when the run ends
    payload = run.checkpoints.load_last()
    if payload is not None:
        restore(run, payload)
        run.log.say(f"Resuming {folder.name} at step {run.progress.step}.")
    if run.world.leads:
        run.log.file.truncate(run.progress.step)
        save(config, folder / "config.yaml")
        settings = config.log
        run.log.mirrors = make_mirrors(
            settings.mirror, settings.project, folder.name, folder, hashed(config), run.log.say
        )
        counts = run.network.count_parameters()
        run.log.say(f"Run {folder.name}: {counts['total']:,} parameters, {counts['recurrent']:,} of them recurrent.")
    if is_emulated(precision := config.train.precision, run.world.device):
        run.log.say(f"This CPU has no AVX-512: train.precision={precision} is many times slower than fp32 here.")
    try:
        with stop_signals(heeded=run.world.size == 1) as stopping:
            fit(run, stopping)
        return _finish(config, run, folder)
    finally:
        run.log.close()


def _finish(config: Config, run: Run, folder: Path) -> dict[str, Any] | None:
    run.world.barrier()
    tested_step, weights = run.progress.step, run.optimizer.averaged()
    selected = run.checkpoints.load_selected(config.train.select)
    if selected is not None:
        run.network.load_state_dict(selected["network"])
        tested_step, weights = Progress(**selected["progress"]).step, contextlib.nullcontext()  # it holds the averages
    with weights:
        metrics = {split: evaluate(run, split, run.evaluation) for split in ("valid", "test")}
    if not run.world.leads:
        return None
    record = with_evaluations(make_record(config, run, metrics, tested_step), ledger(config))
    keep_record(record, folder, ledger(config))
    return record


def finished(config: Config) -> dict[str, Any] | None:
    """The record of this run if it has finished already."""
    path = run_folder(config) / "record.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):  # never written, or not to its end
        return None


def _start_over(folder: Path) -> None:
    """Drop what an earlier run of this id has left; not the lock, nor what started this process."""
    for path in folder.iterdir():
        if path.is_dir() and not path.name.startswith("launch"):
            shutil.rmtree(path)
        elif path.is_file() and path.name != "lock":
            path.unlink()


def _locked(folder: Path):
    """Exclusive use of a run folder; released by the system if the process dies."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"Another process is running {folder.name}; wait for it, or change a setting.") from None


def _disk_error(error: OSError, folder: Path) -> UserError:
    path, reason = error.filename or folder, error.strerror or error
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return UserError(
            f"{path} cannot be saved: {reason}; the last good checkpoint is kept, and with room the same command "
            "resumes."
        )
    return UserError(f"Cannot write {path}: {reason}.")
