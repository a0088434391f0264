"""A page for each table: its cells as `seqbench tables` has them, the learning curves and the runs behind the rows."""

from __future__ import annotations

from seqbench.report.claim import judge_claim
from seqbench.report.declaration import Column
from seqbench.report.numbers import MISSING, measured
from seqbench.report.record import Record
from seqbench.report.site import curves
from seqbench.report.site.gathered import Entry, Gathered
from seqbench.report.site.page import Page
from seqbench.report.table import fill
from seqbench.report.verdict import judged_metric


def table_pages(gathered: Gathered) -> list[Page]:
    pages = []
    for table in gathered.tables:
        entries = gathered.entries[table.name]
        grid = fill(table, gathered.records, gathered.compose)
        judged = grid.headings[-1] == "Verdict"  # a column that each page of the site shows in a form of its own
        found = [entry.runs for entry in entries]
        shown = [column for column in table.columns if _is_of_a_run(column)]
        rows = [
            {
                "entry": entry,
                "cells": cells[1:-1] if judged else cells[1:],
                "mark": cells[0].mark,
                "model": gathered.model_of(entry.config) if entry.config else None,
                "runs": [(run, [_number(column, entry, run) for column in shown]) for run in entry.runs],
            }
            for entry, cells in zip(entries, grid.rows, strict=True)
        ]
        values = {
            "table": table,
            "grid": grid,
            "judged": judged,
            "headings": grid.headings[1:-1] if judged else grid.headings[1:],
            "rows": rows,
            "measured": shown,
            "n_runs": sum(map(len, found)),
            "curves": curves.of_table(entries),
            "figures": curves.of_analyses(entries),
            "claims": [judge_claim(table, claim, found) for claim in table.claims],
            "tasks": list(dict.fromkeys(gathered.task_of(entry.config).name for entry in entries if entry.config)),
        }
        pages.append(Page(f"tables/{table.name}.html", "table.html", table.title, "tables", values))
    return pages


def _is_of_a_run(column: Column) -> bool:
    """Whether a column's numbers may differ from seed to seed."""
    if column.metric is None:
        return column.judged in ("metric", "measured")
    return column.metric.partition(".")[0] not in ("parameters", "baseline")


def _number(column: Column, entry: Entry, run: Record) -> str:
    """What one run measured, as the column writes it."""
    if column.judged == "metric":
        return judged_metric(entry.row).rpartition(".")[2] if entry.row.published else ""
    judged = entry.verdict.values if entry.verdict else {}
    numbers = judged if column.judged else measured(column, entry.row, [run])
    return format(numbers[run.seed], column.format) if run.seed in numbers else MISSING
