"""Which runs a table declares, and which of them the ledger lacks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from seqbench.errors import UserError
from seqbench.report.declaration import Row, Table
from seqbench.report.record import FINISHED, Record
from seqbench.report.selection import Compose, runs_of


@dataclass(frozen=True)
class Job:
    """A run that a row of a table lacks. `like` are the row's finished runs of other seeds."""

    table: str
    row: Row
    seed: int
    like: tuple[Record, ...]

    @property
    def settings(self) -> list[str]:
        assert self.row.experiment is not None
        return [f"experiment={self.row.experiment}", *self.row.overrides, f"seed={self.seed}"]


@dataclass(frozen=True)
class Plan:
    """`n_declared` runs, of which `jobs` are to be made."""

    n_declared: int
    jobs: list[Job]


def plan(tables: Iterable[Table], records: list[Record], compose: Compose, only: str | None = None) -> Plan:
    """The runs of all rows, or of those whose label has `only` in it. Rows that share a config share its runs.

    A row has as many runs as it declares seeds. Finished ones of any seed count; those that lack are of the lowest
    seeds that there are not. Raises `UserError` if no row is meant.
    """
    finished = [record for record in records if record.status == FINISHED]
    rows = [(table, row) for table in tables for row in table.rows if row.experiment is not None]
    meant = [(table, row) for table, row in rows if only is None or only.casefold() in row.heading().casefold()]
    if not meant:
        labels = ", ".join(row.heading() for _, row in rows)
        raise UserError(
            f"No row has {only!r} in its label; there are: {labels}." if only else "No row has runs of ours."
        )
    n_declared, jobs, seen = 0, [], set()
    for table, row in meant:
        found = runs_of(row, finished, compose)
        seeds = {record.seed for record in found}
        n_declared += max(row.seeds, len(seeds))
        free = (seed for seed in range(row.seeds + len(seeds)) if seed not in seeds)
        for seed in sorted(free)[: max(0, row.seeds - len(seeds))]:
            job = Job(table.name, row, seed, tuple(found))
            if tuple(job.settings) in seen:
                n_declared -= 1
                continue
            seen.add(tuple(job.settings))
            jobs.append(job)
    return Plan(n_declared, jobs)
