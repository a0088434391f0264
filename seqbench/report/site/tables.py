"""A page for each table: its cells as `seqbench tables` has them, the learning curves and the runs behind the rows."""

from __future__ import annotations

from seqbench.report.claim import judge_claim
from seqbench.report.site import curves
from seqbench.report.site.gathered import Gathered
from seqbench.report.site.page import Page
from seqbench.report.site.runs import score_of
from seqbench.report.table import fill


def table_pages(gathered: Gathered) -> list[Page]:
    pages = []
    for table in gathered.tables:
        entries = gathered.entries[table.name]
        grid = fill(table, gathered.records, gathered.compose)
        judged = grid.headings[-1] == "Verdict"  # a column that each page of the site shows in a form of its own
        found = [entry.runs for entry in entries]
        rows = [
            {
                "entry": entry,
                "cells": cells[1:-1] if judged else cells[1:],
                "mark": cells[0].mark,
                "model": gathered.model_of(entry.config) if entry.config else None,
                "scores": [(run, score_of(run)) for run in entry.runs],
            }
            for entry, cells in zip(entries, grid.rows, strict=True)
        ]
        values = {
            "table": table,
            "grid": grid,
            "judged": judged,
            "headings": grid.headings[1:-1] if judged else grid.headings[1:],
            "rows": rows,
            "curves": curves.of_table(f"Learning curves: {table.title}", entries),
            "figures": curves.of_analyses(entries),
            "claims": [judge_claim(table, claim, found) for claim in table.claims],
            "tasks": list(dict.fromkeys(gathered.task_of(entry.config).name for entry in entries if entry.config)),
        }
        pages.append(Page(f"tables/{table.name}.html", "table.html", table.title, "tables", values))
    return pages
