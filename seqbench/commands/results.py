"""`seqbench tables`, `plots`, `show` and `list`: what has been run, and what can be."""

from __future__ import annotations

import importlib.util
from dataclasses import asdict
from pathlib import Path

import yaml

from seqbench.commands import stored
from seqbench.config.check import check
from seqbench.config.compose import composed, groups, options
from seqbench.config.identity import hashed, run_id
from seqbench.config.schema import Config, load
from seqbench.config.targets import class_of
from seqbench.contracts.metrics import in_one_line
from seqbench.errors import ConfigError, UserError
from seqbench.report.build import build_tables
from seqbench.report.evaluations import differing
from seqbench.report.ledger import read_named, read_sound
from seqbench.report.places import Places
from seqbench.report.plot import build_plots
from seqbench.report.record import FINISHED, Record, read_content
from seqbench.report.render import render_one_row


def tables(arguments: list[str]) -> None:
    """results/tables.yaml declares rows, columns and published numbers; <name>.md and <name>.tex are written.

    <name> ...                         of tables; none: all
    results_dir=results                the folder of tables.yaml and of runs/, the ledger
    """
    names, places = _names_and_places(arguments)
    for path in build_tables(places.declaration, places.runs, places.tables, compose_row, names):
        print(path)


def plots(arguments: list[str]) -> None:
    """The selection metric on valid over steps, a line for each run of a table's rows, as <name>.svg.

    <name> ...                         of tables; none: all whose runs have curves
    results_dir=results                the folder of tables.yaml and of runs/, the ledger
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError('plots needs matplotlib: pip install "seqbench[plots]".')
    names, places = _names_and_places(arguments)
    for path in build_plots(places.declaration, places.runs, places.plots, compose_row, names):
        print(path)


def _names_and_places(arguments: list[str]) -> tuple[list[str] | None, Places]:
    names = [argument for argument in arguments if "=" not in argument]
    return names or None, Places(composed([argument for argument in arguments if "=" in argument]))


def compose_row(experiment: str, overrides: list[str]) -> dict:
    config = composed([f"experiment={experiment}", *overrides])
    check(config)
    return hashed(config)


def show(arguments: list[str]) -> None:
    """YAML of every setting, with the id that a run of them has; or JSON of what a run reached.

    <settings>                         as for train: experiment=copy_t1000/scornn seed=1
    --row                              the finished run of these settings as a table
    run=<id>                           the record of a run, of which a beginning will do
    """
    as_row = "--row" in arguments
    config = composed([argument for argument in arguments if argument != "--row"])
    if as_row:
        print(render_one_row(one_record(Places(config), run_id(config))))
        return
    if config.run:
        path = _record(config)
        read_content(path)  # or what is damaged would be shown as a result
        print(path.read_text(encoding="utf-8"), end="")
        return
    check(config)
    print(yaml.safe_dump({"run_id": run_id(config), **asdict(config)}, sort_keys=False), end="")


def _record(config: Config) -> Path:
    """The file of a run's record: in the ledger, else in the run's folder."""
    paths = sorted(Places(config).runs.glob(f"{config.run}*.json"))
    if len(paths) == 1:
        return paths[0]
    record = stored.find(config) / "record.json"
    if not record.exists():
        name = record.parent.name
        raise UserError(f"Run {name} has not finished; seqbench train run={name} resumes it.")
    return record


def one_record(places: Places, name: str) -> Record:
    path = places.record(name)
    if not path.exists():
        raise UserError(f"Run {name} is not in {places.runs}; train it first.")
    return read_named(path)


def list_all(arguments: list[str]) -> None:
    """The options of every group, the ledger's runs, those of one experiment together, and runs that have not finished.

    results_dir=results                the folder of runs/, the ledger
    output_dir=outputs                 of runs that have not finished
    """
    asked = composed(arguments)
    for group in groups():
        print(f"{group}: {', '.join(options(group))}")
    ledger = Places(asked).runs
    records, problems = read_sound(ledger) if ledger.is_dir() else ([], [])
    named = sorted((_experiment(record), record.seed, record.steps, record.run_id, record) for record in records)
    width = max((len(name) for name, *_ in named), default=0)
    for name, seed, steps, run, record in named:
        status = "" if record.status == FINISHED else f"{record.status}  "
        print(f"run {run}  {name:<{width}}  seed {seed}  {steps:>7,} steps  {status}{_reached(record)}")
    for problem in problems:
        print(problem)
    for folder in stored.unfinished(Path(asked.output_dir)):
        try:
            config = load(folder / "config.yaml")
        except ConfigError as error:  # of one run, which says nothing of the others
            print(f"run {folder.name}  {error}")
            continue
        name = config.experiment or f"{config.task.get('corpus', class_of(config.task))}/{class_of(config.model)}"
        resumes = f"seqbench train run={folder.name} resumes at step {stored.saved_step(folder):,}"
        print(f"run {folder.name}  {name}  seed {config.seed}  not finished: {resumes}")


def _experiment(record: Record) -> str:
    return record.experiment or f"{record.task_version['name']}/{record.model()}"


def _reached(record: Record) -> str:
    """What a run reached on test: plainly, and in evaluations of another kind."""
    parts = [in_one_line(_main(record.metrics.get("test", {})))]
    for name, splits in sorted(record.evaluations.items()):
        for found in splits.get("test", []):
            if found.get("category") != "static":
                apart = sorted({key for one in splits["test"] for key in differing(found, one)})
                own = ", ".join(f"{key} {found['settings'][key]}" for key in apart)
                parts.append(f"{name}{own and f' ({own})'}: {in_one_line(_main(found['metrics']))}")
    return "  ".join(parts)


def _main(metrics: dict[str, float | None]) -> dict[str, float | None]:
    """Without those that tell of a part, or of a solver: their names have two words."""
    return {name: value for name, value in metrics.items() if "_" not in name}
