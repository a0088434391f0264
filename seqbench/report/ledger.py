"""The ledger: one JSON file for each run, `<run_id>.json`, and nothing else that a table is made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqbench.contracts.metrics import finite
from seqbench.data.files.atomic import write_whole
from seqbench.errors import UserError
from seqbench.report.record import Record, dumps, fault, read_record


def write_record(record: dict[str, Any], folder: Path) -> Path:
    """Write a run's record to `<folder>/<run_id>.json`, whole or not at all, and return the path. Raises `ValueError`
    for a record that `read_ledger` would refuse."""
    problem = fault(finite(record))
    if problem:
        raise ValueError(f"the record {problem}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{record['run_id']}.json"
    write_whole(path, dumps(record))
    return path


def read_ledger(folder: Path) -> list[Record]:
    """All records of a ledger, sorted by run_id. Raises `UserError` if one of them cannot be read: what is made without
    it would be short of a run, and nobody could see it."""
    records, problems = read_sound(folder)
    if problems:
        others = f" Nor can {len(problems) - 1} more be read." if len(problems) > 1 else ""
        raise UserError(f"{problems[0]} Training its run again writes it anew; else remove it.{others}")
    return records


def read_sound(folder: Path) -> tuple[list[Record], list[str]]:
    """The records that can be read, sorted by run_id, and a sentence on each file that cannot. Raises `UserError` for
    a folder that is none."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: the ledger is made by the first run that finishes.")
    records, problems = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            records.append(read_named(path))
        except UserError as error:
            problems.append(str(error))
    return sorted(records, key=lambda record: record.run_id), problems


def read_named(path: Path) -> Record:
    """A record of the ledger, which has the name of its run. Raises `UserError`."""
    record = read_record(path)
    if record.run_id != path.stem:
        raise UserError(f"{path} holds the run {record.run_id}: a copy would count a run twice.")
    return record
