"""A page for each task: what it asks, its data, and the tables and runs on it."""

from __future__ import annotations

from seqbench.report.record import Record
from seqbench.report.site.docstrings import described
from seqbench.report.site.gathered import Entry, Gathered
from seqbench.report.site.options import Option
from seqbench.report.site.page import Page


def task_pages(gathered: Gathered) -> list[Page]:
    pages = []
    for task in gathered.tasks:
        runs = runs_on(gathered, task)
        entries = entries_on(gathered, task)
        values = {
            "task": task,
            "docstrings": described(task.target),
            "entries": entries,
            "tables": list({entry.table.name: entry.table for entry in entries}.values()),
            "runs": [(run, gathered.model_of(run.config), gathered.score_of(run)) for run in runs],
            "versions": _versions(runs),
            "baselines": _baselines(runs),
        }
        pages.append(Page(f"tasks/{task.name}.html", "task.html", task.name, "tasks", values))
    return pages


def entries_on(gathered: Gathered, task: Option) -> list[Entry]:
    return [entry for entry in gathered.all_entries() if entry.config and gathered.task_of(entry.config) == task]


def runs_on(gathered: Gathered, task: Option) -> list[Record]:
    found = [record for record in gathered.records if gathered.task_of(record.config) == task]
    return sorted(found, key=lambda record: (record.experiment or "", record.seed, record.run_id))


def _versions(runs: list[Record]) -> list[dict]:
    """The versions of the task and of its data that runs were made with, each once."""
    versions = {str(sorted(run.task_version.items(), key=str)): run.task_version for run in runs}
    return [versions[key] for key in sorted(versions)]


def _baselines(runs: list[Record]) -> list[tuple[str, dict[str, float | None]]]:
    """What a model without memory reaches, by experiment, where a run says so."""
    found = {run.experiment or run.run_id: run.metrics["baseline"] for run in runs if run.metrics.get("baseline")}
    return sorted(found.items())
