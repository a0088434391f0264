"""`seqbench show`: the settings of a run, or what a finished run reached."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import yaml

from seqbench.commands import stored
from seqbench.config.check import check
from seqbench.config.compose import composed
from seqbench.config.identity import run_id
from seqbench.config.schema import Config
from seqbench.errors import UserError
from seqbench.report.ledger import read_named
from seqbench.report.places import Places
from seqbench.report.record import Record, read_content
from seqbench.report.render import render_one_row


def show(arguments: list[str]) -> None:
    """Prints every setting and the id of a run with these settings, as YAML; or the record of a finished run, as JSON.

    <settings>                         as for train: experiment=copy_t1000/scornn seed=1
    --row                              the finished run with these settings, as a one-row table
    run=<id>                           the record of this run; a unique prefix of its id is enough
    """
    config = composed([argument for argument in arguments if argument != "--row"], "show")
    if "--row" in arguments:
        print(render_one_row(_record(Places(config), run_id(config))))
    elif config.run:
        path = _record_file(config)
        read_content(path)  # or what is damaged would be shown as a result
        print(path.read_text(encoding="utf-8"), end="")
    else:
        check(config)
        print(yaml.safe_dump({"run_id": run_id(config), **asdict(config)}, sort_keys=False), end="")


def _record(places: Places, name: str) -> Record:
    path = places.record(name)
    if not path.exists():
        raise UserError(f"Run {name} is not in {places.runs}; train it first.")
    return read_named(path)


def _record_file(config: Config) -> Path:
    """The file of a run's record: in the ledger, otherwise in the run's folder."""
    prefix = str(config.run)
    in_ledger = [path for path in Places(config).runs.glob("*.json") if path.stem.startswith(prefix)]
    if len(in_ledger) == 1:
        return in_ledger[0]
    record = stored.find(config) / "record.json"
    if not record.exists():
        name = record.parent.name
        raise UserError(f"Run {name} has not finished; seqbench train run={name} resumes it.")
    return record
