"""The `tables` command: declaration and ledger in, Markdown and LaTeX files out."""

from __future__ import annotations

import sys
from pathlib import Path

from seqbench.data.files.atomic import write_whole
from seqbench.errors import UserError, did_you_mean
from seqbench.report.declaration import Table, read_declaration
from seqbench.report.ledger import read_ledger
from seqbench.report.record import Record
from seqbench.report.render import latex, markdown
from seqbench.report.selection import Compose, belongs, composing_once
from seqbench.report.table import fill


def build_tables(
    declaration: Path, ledger: Path, output: Path, compose: Compose, names: list[str] | None = None
) -> list[Path]:
    """Write `<name>.md` and `<name>.tex` for the tables `names` (None: all that are declared) and return the paths.

    `compose(experiment, overrides)` gives the resolved config of a row. On an unchanged ledger the files come out
    the same byte for byte. Raises `UserError`, before anything is written, for mistakes in the declaration, a broken
    record or an unknown name.
    """
    tables = read_declaration(declaration)
    wanted = list(tables) if names is None else _known(names, tables, declaration)
    records, compose_once = read_ledger(ledger), composing_once(compose)
    grids = [fill(tables[name], records, compose_once) for name in wanted]
    if names is None:
        for experiment, ids in sorted(unclaimed(list(tables.values()), records, compose_once).items()):
            print(f"In no table, for {experiment} has other settings now: {', '.join(ids)}", file=sys.stderr)
    output.mkdir(parents=True, exist_ok=True)
    paths = []
    for grid in grids:
        for suffix, text in ((".md", markdown(grid)), (".tex", latex(grid))):
            path = output / f"{grid.name}{suffix}"
            write_whole(path, text)
            paths.append(path)
    return paths


def named_tables(declaration: Path, names: list[str]) -> dict[str, Table]:
    """The declared tables of these names. Raises `UserError` for an unknown one."""
    tables = read_declaration(declaration)
    return {name: tables[name] for name in _known(names, tables, declaration)}


def _known(names: list[str], tables: dict[str, Table], declaration: Path) -> list[str]:
    for name in names:
        if name not in tables:
            hint = did_you_mean(name, tables)
            raise UserError(f"There is no table {name}{hint}; {declaration} declares {', '.join(tables)}.")
    return names


def unclaimed(tables: list[Table], records: list[Record], compose: Compose) -> dict[str, list[str]]:
    """Records of the tables' experiments that no row stands for: run_ids, by experiment."""
    rows = [row for table in tables for row in table.rows if row.experiment is not None]
    configs: dict[str, list[dict]] = {}
    for row in rows:
        assert row.experiment is not None
        configs.setdefault(row.experiment, []).append(compose(row.experiment, row.overrides))
    found: dict[str, list[str]] = {}
    for record in records:
        known = configs.get(record.experiment or "", [])
        if known and not any(belongs(record, config) for config in known):
            assert record.experiment is not None
            found.setdefault(record.experiment, []).append(record.run_id)
    return found
