"""`seqbench train`: one run, or a sweep with -m."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from seqbench.commands.same_data import refuse_to_replace, require_its_data
from seqbench.commands.stored import PLACES, is_of, of_other_code, read
from seqbench.commands.sweep import sweep
from seqbench.config import arguments as command_lines
from seqbench.config.arguments import CommandLine, key_of
from seqbench.config.check import check
from seqbench.config.compose import compose_run, kept_of_experiment
from seqbench.config.identity import run_id
from seqbench.config.nodes import hydra_here, node_of
from seqbench.config.schema import Config
from seqbench.contracts.metrics import in_one_line
from seqbench.errors import ConfigError, UserError, stopped
from seqbench.report.evaluations import PLAIN, name_of
from seqbench.report.places import Places

RESUMED = (*PLACES, "train.device", "train.threads", "train.nproc")


def train(arguments: list[str]) -> None:
    """Train one run, several with -m, or go on with `run=<id>`."""
    line = command_lines.read("train", arguments, command_lines.OPTIONS)
    if "--help" in line.options:
        return _help(line)
    if "--cfg" in line.options:
        return _show_config(line)
    if any(key_of(one) == "run" for one in line.settings):
        return _resume(line)
    if "--multirun" in line.options:
        return sweep(line, train_config)
    composition = compose_run(line, sweeps=True)
    train_config(composition.config, line.settings, line.of_hydra, composition.choices.get("experiment"), False)
    return None


def train_config(
    config: Config, settings: list[str], of_hydra: list[str], experiment: str | None, isolated: bool
) -> None:
    """Train a composed config. `settings`, and Hydra's own, are those of the command line."""
    config.experiment = experiment
    if kept := kept_of_experiment(config, [*of_hydra, *settings]):
        # or Adam would learn at SGD's rate, and nobody know it
        hint = "<key>=<value> changes one, ~<key> drops one that is not an argument"
        print(f"Still set by experiment={experiment}: {' '.join(kept)} ({hint}).", flush=True)
    if config.analysis is not None:
        raise ConfigError("analysis= is for seqbench analyze run=<id>, once the run has finished.")
    check(config)
    run(config, isolated)


def _help(line: CommandLine) -> None:
    compose_run(line)  # says what is wrong with it, and lets nothing through that Hydra would execute
    with hydra_here():
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        parser = ArgumentParser(add_help=False)
        parser.add_argument("overrides", nargs="*", help="settings")
        overrides = [*line.of_hydra, *line.of_run]
        hydra.app_help("config", parser, Namespace(overrides=overrides, resolve=False))


def _show_config(line: CommandLine) -> None:
    """The composed config as Hydra has it: the job's, Hydra's own settings, or both; or one package of it."""
    compose_run(line, sweeps=True)
    overrides = [*line.of_hydra, *line.of_run]
    node: Any = node_of(overrides, with_hydra=line.options["--cfg"] != "job")
    if line.options["--cfg"] == "hydra":
        node = OmegaConf.create({"hydra": node.hydra})
    if "--resolve" in line.options and line.options["--cfg"] == "job":
        OmegaConf.resolve(node)
    package = line.options.get("--package")
    if package not in (None, "_global_"):
        selected = OmegaConf.select(node, package, throw_on_resolution_failure=False)
        if selected is None:
            raise ConfigError(f"--package {package} is no part of this config.")
        node = selected
    print(OmegaConf.to_yaml(node) if OmegaConf.is_config(node) else node, end="")


def _resume(line: CommandLine) -> None:
    """Go on with the run of an id, by the settings that lie in its folder."""
    if "--multirun" in line.options:
        raise ConfigError("train run=<id> goes on with one run; -m is for new ones.")
    config, folder = read("train run=<id>", line, RESUMED, always=("output_dir", "results_dir"))
    config.force = False  # as it may have been begun
    if not is_of(config, folder):
        raise UserError(
            f"Run {folder.name} was started by another version of seqbench, or its config.yaml has changed since; its "
            f"settings have the id {run_id(config)} here, so it cannot be resumed."
        )
    check(config)
    run(config, isolated=False)


def run(config: Config, isolated: bool) -> dict[str, Any] | None:
    """Train unless it has been done; the record, None in a process that torchrun started beside the first. `isolated`:
    in a process of its own, as a sweep's jobs must be, whose memory figures and caches would otherwise mix."""
    from seqbench.engine.record import restore_in_ledger
    from seqbench.engine.run import finished, run_folder

    record, name, evaluation = finished(config), run_folder(config).name, name_of(config.evaluation)
    if record is not None and not config.force:
        require_its_data(config, record)
        print(f"Run {name} has finished; force=true runs it again.")
        if evaluation != PLAIN:
            print(f"What it reached by evaluation={evaluation}: seqbench eval run={name} evaluation={evaluation}")
        restore_in_ledger(record, Places(config), print)
    elif evaluation != PLAIN:
        raise ConfigError(
            f"evaluation={evaluation} is for a finished run: seqbench eval run=<id> evaluation={evaluation}."
        )
    else:
        refuse_to_replace(config)
        if config.plugins and not run_folder(config).exists() and (runs := of_other_code(config)):
            print(f"{' and '.join(config.plugins)} changed since {', '.join(runs)}: with this code it is run {name}.")
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
