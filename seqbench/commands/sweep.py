"""A sweep: each job composed and checked before the first is started, then all handed to Hydra's launcher.

The jobs are those of Hydra's basic sweeper, or the runs that a table lacks (reproduce.py). Hydra's launchers run them:
here, in several processes, or on a cluster.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from seqbench.config.arguments import MOST_JOBS, CommandLine, key_of, n_jobs
from seqbench.config.check import check
from seqbench.config.complaints import BY_ACCIDENT, ERRORS, explained
from seqbench.config.compose import check_place, compose_settings, to_config
from seqbench.config.nodes import hydra_here
from seqbench.config.schema import Config
from seqbench.errors import BusyError, ConfigError, RunError, UserError, stopped
from seqbench.report.record import Record, read_record
from seqbench.report.summary import summary_of_groups

BUSY = -1  # in place of an exit code: another process has the job's run
OUT_OF_TIME = -2  # likewise: the job's run is saved, or has not begun
Train = Callable[..., None]  # of a config, the settings of its job, Hydra's, the experiment, isolated


def sweep(line: CommandLine, train: Train) -> None:
    """Train each job of a sweep, and end with a summary of what they reached. A job that fails leaves the others their
    turn; the exit code is that of the first such one."""
    jobs = _jobs(line)
    check_place(line)
    check_launcher(line)
    configs = []
    for job in jobs:  # before the first is started
        configs.append(compose_settings([*line.of_hydra, *job], True, [*line.of_hydra, *line.of_run]).config)
        check(configs[-1])
    codes = run_jobs(line, jobs, train)
    if reached := _reached(jobs, configs):
        print(f"\n{summary_of_groups(reached)}")
    code = next((code for code in codes if code not in (0, OUT_OF_TIME)), 0)
    if code:
        raise SystemExit(code)


def run_jobs(line: CommandLine, jobs: Sequence[Sequence[str]], train: Train) -> list[int]:
    """Run jobs, each of its settings, with the launcher that `line` names: their exit codes, or `OUT_OF_TIME`."""
    try:
        results = _launch(line, jobs, partial(_job, train))
    except (*ERRORS, ImportError) as error:
        raise explained(error, line.settings, sweeps=True) from error
    codes = [result.return_value for result in results]
    return [_come_back(line, job, train) if code == BUSY else code for job, code in zip(jobs, codes, strict=True)]


def _reached(jobs: Sequence[Sequence[str]], configs: Sequence[Config]) -> dict[str, list[Record]]:
    """The finished runs of jobs, by the settings in which these differ, but for the seed."""
    from seqbench.engine.run import run_folder

    groups: dict[str, list[Record]] = {}
    common = set(jobs[0]).intersection(*jobs)
    for job, config in zip(jobs, configs, strict=True):
        path = run_folder(config) / "record.json"
        if path.exists():
            label = " ".join(one for one in job if one not in common and key_of(one) != "seed")
            groups.setdefault(label, []).append(read_record(path))
    return groups


def _jobs(line: CommandLine) -> list[list[str]]:
    """The settings of each job."""
    if n_jobs(line.of_run) > MOST_JOBS:
        raise ConfigError(f"A sweep has at most {MOST_JOBS:,} jobs.")
    try:
        return BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(line.of_run), None)[0]
    except HydraException as error:
        raise explained(error, line.settings, sweeps=True) from error


def check_launcher(line: CommandLine) -> None:
    """Raise `UserError` where the machine has not what a launcher needs."""
    slurm = {"hydra/launcher=slurm", "hydra/launcher=submitit_slurm"}
    if slurm.intersection(line.settings) and shutil.which("srun") is None:
        raise UserError("hydra/launcher=slurm is for a SLURM cluster, and this machine has no srun.")


def _launch(line: CommandLine, jobs: Sequence[Sequence[str]], task_function: Callable[[DictConfig], int]) -> Any:
    with hydra_here():
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        config = hydra.compose_config("config", [*line.of_hydra, *line.of_run], run_mode=RunMode.MULTIRUN)
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())
        try:
            launcher = Plugins.instance().instantiate_launcher(
                config=config, hydra_context=context, task_function=task_function
            )
        except BY_ACCIDENT as error:  # of a launcher's own settings
            raise ConfigError(f"hydra.launcher: {' '.join(str(error).split())}.") from error
        return launcher.launch([list(job) for job in jobs], initial_job_idx=0)


def _job(train: Train, node: DictConfig) -> int:
    """One job's exit code."""
    from seqbench.engine.interrupt import out_of_time

    if out_of_time():
        return OUT_OF_TIME
    settings = HydraConfig.get()
    print(f"Job {settings.job.num}: {' '.join(settings.overrides.task)}", flush=True)
    ours, hydras = (OmegaConf.to_container(one) for one in (settings.overrides.task, settings.overrides.hydra))
    return _code(lambda: train(to_config(node), ours, hydras, settings.runtime.choices.get("experiment"), True))


def _come_back(line: CommandLine, job: Sequence[str], train: Train) -> int:
    """The exit code of a job that another process had: it may have finished it, or died."""
    from seqbench.engine.run import run_folder, wait_for

    composition = compose_settings([*line.of_hydra, *job], True)
    config = composition.config
    code = BUSY
    while code == BUSY:  # or taken by another again
        print(f"Waiting for run {run_folder(config).name}, which another process may still be running.", flush=True)
        wait_for(config)
        code = _code(lambda: train(config, list(job), line.of_hydra, composition.choices.get("experiment"), True))
    return code


def _code(train_job: Callable[[], None]) -> int:
    """The exit code of a job; what is wrong has been said."""
    from seqbench.engine.interrupt import out_of_time

    try:
        train_job()
    except BusyError as error:
        run = str(error).partition(";")[0]
        print(f"{run}; this sweep comes back to it at its end.", flush=True)
        return BUSY
    except UserError as error:
        return stopped(str(error), 2)
    except RunError as error:
        return stopped(str(error), 1)
    except KeyboardInterrupt as error:
        if not out_of_time():
            raise
        print(f"{error}" or "Out of time; the last checkpoint is kept.", flush=True)
        return OUT_OF_TIME
    except BrokenPipeError:
        raise KeyboardInterrupt("Standard output was closed; the same command goes on with the sweep.") from None
    except OSError as error:
        return stopped(f"{error.filename}: {error.strerror}." if error.filename else f"{error}.", 2)
    return 0
