"""The front page: the tables with their verdicts counted; and the lists of models, tasks and runs."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

from seqbench.report.site.docstrings import described
from seqbench.report.site.gathered import Entry, Gathered
from seqbench.report.site.models import entries_with_model, runs_with_model
from seqbench.report.site.options import Option
from seqbench.report.site.page import Page
from seqbench.report.site.tasks import entries_on, runs_on
from seqbench.report.verdict import KINDS, LEGEND


def front_page(gathered: Gathered) -> Page:
    tables = [
        {
            "table": table,
            "counts": verdict_counts(gathered.entries[table.name]),
            "n_rows": sum(entry.config is not None for entry in gathered.entries[table.name]),
            "n_runs": len({run.run_id for entry in gathered.entries[table.name] for run in entry.runs}),
        }
        for table in gathered.tables
    ]
    values = {
        "tables": tables,
        "kinds": KINDS,
        "legend": LEGEND,
        "totals": verdict_counts(gathered.all_entries()),
        "n_runs": len(gathered.records),
        "n_models": sum(bool(runs_with_model(gathered, model)) for model in gathered.models),
        "n_tasks": sum(bool(runs_on(gathered, task)) for task in gathered.tasks),
    }
    return Page("index.html", "front.html", "Results", "tables", values)


def verdict_counts(entries: list[Entry]) -> Counter[str]:
    """How many rows have which verdict; a row without a published number has none."""
    return Counter(entry.verdict.kind for entry in entries if entry.verdict)


def list_pages(gathered: Gathered) -> list[Page]:
    models = [
        (
            model,
            described(model.target).summary,
            len(entries_with_model(gathered, model)),
            len(runs_with_model(gathered, model)),
        )
        for model in gathered.models
    ]
    tasks = [
        (task, task.comment, len(entries_on(gathered, task)), len(runs_on(gathered, task))) for task in gathered.tasks
    ]
    runs = [
        {
            "record": record,
            "model": gathered.model_of(record.config),
            "task": gathered.task_of(record.config),
            "entries": gathered.entries_of(record),
            "score": gathered.score_of(record),
        }
        for record in sorted(gathered.records, key=lambda one: (one.experiment or "", one.seed, one.run_id))
    ]
    return [
        Page(
            "models/index.html", "options.html", "Models", "models", {"families": _by_family(models), "kind": "model"}
        ),
        Page("tasks/index.html", "options.html", "Tasks", "tasks", {"families": _by_family(tasks), "kind": "task"}),
        Page("runs/index.html", "run_list.html", "Runs", "runs", {"runs": runs}),
    ]


Listed = tuple[Option, str, int, int]


def _by_family(listed: list[Listed]) -> list[tuple[str, list[Listed]]]:
    listed = sorted(listed, key=lambda one: (one[0].family, one[0].name))
    return [(family, list(members)) for family, members in groupby(listed, key=lambda one: one[0].family)]
