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
from seqbench.errors import ConfigError, UserError
from seqbench.report.build import build_tables
from seqbench.report.evaluations import differing
from seqbench.report.ledger import Record, read_ledger, said
from seqbench.report.plot import build_plots
from seqbench.report.render import render_one_row


def tables(arguments: list[str]) -> None:
    """results/tables.yaml declares rows, columns and published numbers; <name>.md and <name>.tex are written.

    <name> ...                         of tables; none: all
    results_dir=results                the folder of tables.yaml and of runs/, the ledger
    """
    names, results = _names_and_folder(arguments)
    declaration = results / "tables.yaml"
    for path in build_tables(declaration, results / "runs", results / "tables", compose_row, names):
        print(path)


def plots(arguments: list[str]) -> None:
    """The selection metric on valid over steps, a line for each run of a table's rows, as <name>.svg.

    <name> ...                         of tables; none: all whose runs have curves
    results_dir=results                the folder of tables.yaml and of runs/, the ledger
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError('plots needs matplotlib: pip install "seqbench[plots]".')
    names, results = _names_and_folder(arguments)
    for path in build_plots(results / "tables.yaml", results / "runs", results / "plots", compose_row, names):
        print(path)


def _names_and_folder(arguments: list[str]) -> tuple[list[str] | None, Path]:
    names = [argument for argument in arguments if "=" not in argument]
    return names or None, Path(composed([argument for argument in arguments if "=" in argument]).results_dir)


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
        print(render_one_row(one_record(Path(config.results_dir) / "runs", run_id(config))))
        return
    if config.run:
        print(_record(config).read_text(), end="")
        return
    check(config)
    print(yaml.safe_dump({"run_id": run_id(config), **asdict(config)}, sort_keys=False), end="")


def _record(config: Config) -> Path:
    """The file of a run's record: in the ledger, else in the run's folder."""
    kept = sorted((Path(config.results_dir) / "runs").glob(f"{config.run}*.json"))
    if len(kept) == 1:
        return kept[0]
    record = stored.find(config) / "record.json"
    if not record.exists():
        name = record.parent.name
        raise UserError(f"Run {name} has not finished; seqbench train run={name} resumes it.")
    return record


def one_record(ledger: Path, name: str) -> Record:
    for record in read_ledger(ledger) if ledger.is_dir() else []:
        if record.run_id == name:
            return record
    raise UserError(f"Run {name} is not in {ledger}; train it first.")


def list_all(arguments: list[str]) -> None:
    """The options of every group, the ledger's runs, those of one experiment together, and runs that have not finished.

    results_dir=results                the folder of runs/, the ledger
    output_dir=outputs                 of runs that have not finished
    """
    asked = composed(arguments)
    for group in groups():
        print(f"{group}: {', '.join(options(group))}")
    ledger = Path(asked.results_dir) / "runs"
    records = read_ledger(ledger) if ledger.is_dir() else []
    named = sorted((_experiment(record), record.seed, record.steps, record.run_id, record) for record in records)
    width = max((len(name) for name, *_ in named), default=0)
    for name, seed, steps, run, record in named:
        print(f"run {run}  {name:<{width}}  seed {seed}  {steps:>7,} steps  {_reached(record)}")
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
    parts = [said(_main(record.metrics["test"]))]
    for name, splits in sorted(record.evaluations.items()):
        for found in splits.get("test", []):
            if found.get("category") != "static":
                apart = sorted({key for one in splits["test"] for key in differing(found, one)})
                own = ", ".join(f"{key} {found['settings'][key]}" for key in apart)
                parts.append(f"{name}{own and f' ({own})'}: {said(_main(found['metrics']))}")
    return "  ".join(parts)


def _main(metrics: dict[str, float | None]) -> dict[str, float | None]:
    """Without those that tell of a part, or of a solver: their names have two words."""
    return {name: value for name, value in metrics.items() if "_" not in name}
