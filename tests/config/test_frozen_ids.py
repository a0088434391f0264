"""Ids and rows as they were in the first edition: a file that moves, an argument that gets a node of its own or a
number that is spelt otherwise must not make a run another run, nor take a record from its row."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from seqbench.config.compose import composed
from seqbench.config.identity import hashed, run_id
from seqbench.report.declaration import Row, Table, read_declaration
from seqbench.report.ledger import read_ledger
from seqbench.report.selection import belongs

RESULTS = Path(__file__).parents[2] / "results"
FROZEN = json.loads(Path(__file__).with_name("frozen_ids.json").read_text())


@pytest.mark.parametrize("name", FROZEN["experiments"])
def test_an_experiment_keeps_its_id(name):
    assert run_id(composed([f"experiment={name}"])) == FROZEN["experiments"][name]


def test_every_record_keeps_its_rows_and_the_id_that_its_row_has_now():
    tables = read_declaration(RESULTS / "tables.yaml")
    # of tables that such records stand in; that no other table takes one is seen where tables are made again
    named = {name.split(": ", 1)[0] for frozen in FROZEN["records"].values() for name in frozen["rows"]}
    rows = [(tables[name], row) for name in tables if name in named for row in tables[name].rows]
    settings = {
        _name(table, row): [f"experiment={row.experiment}", *row.overrides] for table, row in rows if row.experiment
    }
    configs = {name: composed(overrides) for name, overrides in settings.items()}
    identities = {name: hashed(config) for name, config in configs.items()}
    records = {record.run_id: record for record in read_ledger(RESULTS / "runs")}
    assert FROZEN["records"].keys() <= records.keys()
    for run, frozen in FROZEN["records"].items():
        claimed = [name for name, identity in identities.items() if belongs(records[run], identity)]
        assert claimed == frozen["rows"], run
        ids = {run_id(replace(configs[name], seed=records[run].seed)) for name in claimed}
        assert ids == {frozen["id"]}, run


def _name(table: Table, row: Row) -> str:
    return f"{table.name}: {row.heading()}"
