"""`seqbench reproduce`: run what the rows of tables lack, then say how the published numbers compare."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seqbench.commands.estimate import estimates, in_words
from seqbench.commands.sweep import OUT_OF_TIME, check_launcher, run_jobs
from seqbench.commands.tables import compose_row, draw_plots
from seqbench.commands.train import train_config
from seqbench.config import arguments as command_lines
from seqbench.config.arguments import CommandLine, key_of
from seqbench.config.check import check
from seqbench.config.compose import Composition, check_place, compose_run, compose_settings
from seqbench.config.schema import Config
from seqbench.config.targets import class_at
from seqbench.errors import ConfigError, UserError, did_you_mean
from seqbench.report.build import build_tables, named_tables
from seqbench.report.columns import aligned
from seqbench.report.declaration import Table
from seqbench.report.ledger import read_ledger
from seqbench.report.places import Places
from seqbench.report.plan import Job, plan
from seqbench.report.record import FINISHED
from seqbench.report.selection import Compose, composing_once, runs_of
from seqbench.report.verdict import judge

_OF_THE_MACHINE = (
    *("output_dir", "results_dir", "data_dir", "train.device", "train.threads", "train.nproc"),
    *("log.every", "log.mirror", "log.project", "checkpoint.every"),
)


@dataclass(frozen=True)
class _Todo:
    """A run to be made, composed; `obstacle` is why it cannot be made here, if anything is."""

    job: Job
    settings: list[str]
    config: Config
    obstacle: str


def reproduce(arguments: list[str]) -> None:
    """Runs what the rows of the tables lack, writes the tables and plots anew, and prints the verdicts.

    <table> ...                        the tables of results/tables.yaml
    --dry                              lists what would be run, and how long it takes on this machine
    only=<text>                        the rows whose label has this text in it: only=GRU
    budget=<hours>                     stop after so long; the same command goes on where it stopped
    hydra/launcher=joblib|slurm        run several at a time, as for train -m: hydra.launcher.n_jobs=4
    train.threads=1 train.device=cpu   and other settings of the machine, for every run
    results_dir=results                the folder of tables.yaml and of the ledger, runs/
    output_dir=outputs                 the folder of runs; a stopped one is resumed
    """
    names, own, rest = _split(arguments)
    line = command_lines.read("reproduce", rest)
    for one in line.of_run:
        if key_of(one) not in _OF_THE_MACHINE:
            hint = did_you_mean(key_of(one), _OF_THE_MACHINE)
            raise ConfigError(
                f"reproduce trains with the settings of its tables' rows; {key_of(one)} is not for it{hint}."
            )
    budget = _hours(own["budget"]) if "budget" in own else None
    check_place(line)
    check_launcher(line)
    places = Places(compose_run(line).config)
    compose = composing_once(compose_row)
    tables = named_tables(places.declaration, names)
    records = read_ledger(places.runs) if places.runs.is_dir() else []
    planned = plan(tables.values(), records, compose, own.get("only"))
    todo = _composed(planned.jobs, line)
    n_done = planned.n_declared - len(planned.jobs)
    print(f"{' '.join(names)}: {n_done} of {planned.n_declared} runs are in the ledger.")
    for one in todo:
        if one.obstacle:
            print(f"Not here: {one.job.row.heading()}, seed {one.job.seed}: {one.obstacle}")
    todo = [one for one in todo if not one.obstacle]
    if "dry" in own:
        return _list(todo)
    code = _run(todo, line, budget)
    _conclude(tables, places, compose)
    if code:
        raise SystemExit(code)
    return None


def _split(arguments: Sequence[str]) -> tuple[list[str], dict[str, str], list[str]]:
    """Names of tables, what is reproduce's own, and settings."""
    names: list[str] = []
    own: dict[str, str] = {}
    rest: list[str] = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if argument == "--dry":
            own["dry"] = ""
        elif equals and key in ("only", "budget"):
            own[key] = value
        elif equals or argument.startswith("-"):
            rest.append(argument)
        else:
            names.append(argument)
    if not names:
        raise ConfigError("Name a table of results/tables.yaml, such as: seqbench reproduce copy.")
    return names, own, rest


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not 0 < hours < 1e6:
        raise ConfigError(f"budget is a number of hours above 0, not {text!r}.")
    return hours


def _composed(jobs: Sequence[Job], line: CommandLine) -> list[_Todo]:
    todo = []
    for job in jobs:
        settings = command_lines.read("reproduce", job.settings).settings + line.of_run
        composition = compose_settings([*line.of_hydra, *settings], True)
        check(composition.config)
        todo.append(_Todo(job, settings, composition.config, _obstacle(composition)))
    return todo


def _obstacle(composition: Composition) -> str:
    """Why a run cannot be made on this machine; "" where nothing is known to be in the way."""
    from seqbench.engine.assemble import data_folder
    from seqbench.engine.distributed import check_device

    config: Any = composition.config
    task = class_at("task", config.task["_target_"])
    settings = {key: value for key, value in config.task.items() if key != "_target_"}
    try:
        check_device(config.train.device)
        if hasattr(task, "at_hand") and not task.at_hand(data_folder(config), config.source, settings):
            name = composition.choices.get("task")
            return f"its data are not prepared: seqbench prepare task={name} source=<folder>."
    except UserError as error:
        return str(error)
    except ValueError as error:
        raise ConfigError(f"task: {error}.") from error
    return ""


def _list(todo: Sequence[_Todo]) -> None:
    """What would be run, and an estimate of the time."""
    if not todo:
        print("Nothing is to be run here.")
        return
    found = estimates([(one.job, one.config) for one in todo])
    rows = [("row", "seed", "time", "estimated by")]
    for one, estimate in zip(todo, found, strict=True):
        time_left = "?" if estimate.seconds is None else in_words(estimate.seconds)
        rows.append((one.job.row.heading(), str(one.job.seed), time_left, estimate.source))
    print(aligned(rows))
    known = [estimate.seconds for estimate in found if estimate.seconds is not None]
    print(f"Runs to make: {len(todo)}, which take {in_words(sum(known))} one after another.")


def _run(todo: Sequence[_Todo], line: CommandLine, budget: float | None) -> int:
    """Run the jobs; the exit code of the first that failed."""
    from seqbench.engine.interrupt import STOP_AT

    if not todo:
        return 0
    if budget is not None:
        os.environ[STOP_AT] = str(time.time() + 3600 * budget)
    try:
        codes = run_jobs(line, [one.settings for one in todo], train_config)
    finally:
        os.environ.pop(STOP_AT, None)
    if n_left := codes.count(OUT_OF_TIME):
        print(f"The budget of {budget:g} hours is spent; runs left: {n_left} of {len(todo)}. The same command goes on.")
    return next((code for code in codes if code not in (0, OUT_OF_TIME)), 0)


def _conclude(tables: dict[str, Table], places: Places, compose: Compose) -> None:
    """Write tables and plots, and print what became of the published numbers."""
    if not places.runs.is_dir():
        return
    names = list(tables)
    for path in build_tables(places.declaration, places.runs, places.tables, compose, names):
        print(path)
    for path in draw_plots(places, names, compose):
        print(path)
    records = [record for record in read_ledger(places.runs) if record.status == FINISHED]
    for name in names:
        rows = [(name, "published", "measured", "seeds", "verdict")]
        for row in tables[name].rows:
            found = runs_of(row, records, compose)
            verdict = judge(tables[name], row, found)
            if verdict is None:
                continue
            mean = "–" if verdict.mean is None else f"{verdict.mean:.4g}"
            seeds = str(len(verdict.values)) if verdict.values else ""
            rows.append((row.heading(), verdict.published.value, mean, seeds, verdict.text()))
        if len(rows) > 1:
            print(f"\n{aligned(rows)}")
