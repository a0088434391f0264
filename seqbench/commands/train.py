"""`seqbench train`: one run, or a sweep with -m."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from seqbench.commands.same_data import refuse_to_replace, require_its_data
from seqbench.commands.stored import PLACES, read
from seqbench.config import schema as configs
from seqbench.config.check import check
from seqbench.config.compose import ERRORS, explained, kept_of_experiment, raise_if_no_name, refuse_lists, to_config
from seqbench.config.identity import run_id
from seqbench.config.schema import Config
from seqbench.contracts.metrics import in_one_line
from seqbench.errors import BusyError, ConfigError, RunError, UserError, stopped
from seqbench.report.evaluations import PLAIN, name_of
from seqbench.report.places import Places

RESUMED = (*PLACES, "train.device", "train.threads", "train.nproc")


def train(arguments: list[str]) -> None:
    """Hand over to Hydra, which composes once for each job and parses -m, --cfg, --help; or resume `run=<id>`."""
    if any(argument.startswith("run=") for argument in arguments):
        return _resume(arguments)
    busy: list[Config] = []
    try:
        _compose_and_run(arguments, busy)
    except (UserError, RunError):
        _come_back(busy)
        raise
    return _come_back(busy)


def _compose_and_run(arguments: list[str], busy: list[Config]) -> None:
    """`busy` is filled with the jobs of a sweep that another process has."""

    def job(node: DictConfig) -> None:
        _job(node, busy)

    configs.register()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra re-raises instead of printing a traceback; the caller says it
    settings = [one for one in arguments if one.startswith("~") or ("=" in one and not one.startswith("-"))]
    sys.argv = ["seqbench train", *(one for one in arguments if one not in settings), *settings]  # Hydra's come first
    try:
        hydra.main(config_path=str(configs.folder()), config_name="config", version_base="1.3")(job)()
    except BrokenPipeError:  # `--cfg job | head`
        raise
    except ERRORS as error:
        raise explained(error, arguments, sweeps=True) from error
    except ValueError as error:
        raise_if_no_name(error, arguments)
        raise
    except RuntimeError as error:
        if "srun" not in str(error):
            raise
        raise UserError("hydra/launcher=slurm is for a SLURM cluster, and this machine has no srun.") from error


def _resume(arguments: list[str]) -> None:
    """Go on with the run of an id, by the settings that lie in its folder."""
    config, folder = read("train run=<id>", arguments, RESUMED, always=("output_dir",))
    config.force = False  # as it may have been begun
    if run_id(config) != folder.name:
        raise UserError(
            f"Run {folder.name} was begun by a version of seqbench with other settings, where it had this id; here it "
            f"would be {run_id(config)}."
        )
    check(config)
    run(config, isolated=False)


def _job(node: DictConfig, busy: list[Config]) -> None:
    """One job. Errors leave as `SystemExit`, which Hydra lets through without a word of its own; in a sweep, a run that
    cannot go on leaves the others their turn."""
    sweeping = HydraConfig.get().mode == RunMode.MULTIRUN
    if sweeping:
        print(f"Job {HydraConfig.get().job.num}: {' '.join(HydraConfig.get().overrides.task)}", flush=True)
    try:
        choices = HydraConfig.get().runtime.choices
        refuse_lists(choices)
        config = to_config(node)
        config.experiment = choices.get("experiment")
        _say_what_is_kept(config)
        check(config)
        _run_or_leave_for_later(config, sweeping, busy)
    except BrokenPipeError:
        if sweeping:
            raise KeyboardInterrupt("Standard output was closed; the same command goes on with the sweep.") from None
        raise
    except ERRORS as error:
        _stop(explained(error, HydraConfig.get().overrides.task, sweeps=True), 2, sweeping)
    except UserError as error:
        _stop(error, 2, sweeping)
    except RunError as error:
        _stop(error, 1, sweeping)


def _run_or_leave_for_later(config: Config, sweeping: bool, busy: list[Config]) -> None:
    try:
        run(config, isolated=sweeping)
    except BusyError:
        if not sweeping or "BasicLauncher" not in HydraConfig.get().launcher["_target_"]:
            raise  # a job of another launcher has its own `busy`, which nobody comes back to
        print(f"Another process is running {run_id(config)}; this sweep comes back to it at its end.", flush=True)
        busy.append(config)


def _come_back(busy: list[Config]) -> None:
    """To the jobs that another process had: it may have finished them, or died."""
    from seqbench.engine.run import wait_for

    while busy:
        print(f"Waiting for run {run_id(busy[0])}, which another process may still be running.", flush=True)
        wait_for(busy[0])
        try:
            run(busy[0], isolated=True)
        except BusyError:  # taken by another again
            continue
        busy.pop(0)


def _say_what_is_kept(config: Config) -> None:
    """Or Adam would learn at SGD's rate, and nobody know it."""
    hydra_config = HydraConfig.get()
    own = [source.path for source in hydra_config.runtime.config_sources if source.provider == "command-line"]
    overrides = [*hydra_config.overrides.task, *(part for path in own for part in ("--config-dir", path))]
    if kept := kept_of_experiment(config, overrides):
        hint = "<key>=<value> changes one, ~<key> drops one that is not an argument"
        print(f"Kept of experiment={config.experiment}: {' '.join(kept)} ({hint}).", flush=True)


def _stop(error: UserError | RunError, code: int, sweeping: bool) -> NoReturn:
    if sweeping:
        stopped(str(error), code)
        error.said = True
        raise error  # Hydra goes on with the other jobs and at the end names the first such one's settings
    raise SystemExit(stopped(str(error), code)) from error


def run(config: Config, isolated: bool) -> dict[str, Any] | None:
    """Train unless it has been done; the record, None in a process that torchrun started beside the first. `isolated`:
    in a process of its own, as a sweep's jobs must be, whose memory figures and caches would otherwise mix."""
    from seqbench.engine.record import restore_in_ledger
    from seqbench.engine.run import finished

    record, name = finished(config), name_of(config.evaluation)
    if record is not None and not config.force:
        require_its_data(config, record)
        print(f"Run {run_id(config)} has finished; force=true runs it again.")
        if name != PLAIN:
            print(f"What it reached by evaluation={name}: seqbench eval run={run_id(config)} evaluation={name}")
        restore_in_ledger(record, Places(config), print)
    elif name != PLAIN:
        raise ConfigError(f"evaluation={name} is for a finished run: seqbench eval run=<id> evaluation={name}.")
    else:
        refuse_to_replace(config)
        record = _run_now(config, isolated)
    if record is not None:
        print(summary(record))
    return record


def _run_now(config: Config, isolated: bool) -> dict[str, Any] | None:
    if isolated or config.train.nproc > 1:
        from seqbench.engine.worker import run_in_processes

        return run_in_processes(config)
    from seqbench.engine.distributed import World, lost_peer
    from seqbench.engine.run import train as train_here

    world = World(config.train)
    try:
        record = train_here(config, world)
        world.close()
    except RuntimeError as error:
        if world.size == 1 or not lost_peer(error):
            raise
        stopped("Another process was lost; the last checkpoint is kept, and the same command resumes.", 1)
        sys.stdout.flush()
        os._exit(1)  # what waits for the others in a collective would abort the process as Python takes it down
    return record


def summary(record: dict[str, Any]) -> str:
    """The end of a run in two lines: what was reached, and what a model without memory reaches."""
    metrics = record["metrics"]
    lines = [f"Test of run {record['run_id']} at step {record['selected_step']}: {in_one_line(metrics['test'])}"]
    if metrics["baseline"]:
        lines.append(f"Memoryless baseline: {in_one_line(metrics['baseline'])}")
    return "\n".join(lines)
