"""A page for each model: what it computes, its paper, its size, the tables it stands in, its speed beside peers."""

from __future__ import annotations

from seqbench.report.record import Record
from seqbench.report.site.docstrings import blocks, described, source_of
from seqbench.report.site.gathered import Entry, Gathered
from seqbench.report.site.options import Option
from seqbench.report.site.page import Page
from seqbench.report.site.speeds import Suite, is_of


def model_pages(gathered: Gathered, suites: list[Suite]) -> list[Page]:
    pages = []
    for model in gathered.models:
        source, docstrings = source_of(model.target), described(model.target)
        runs = runs_with_model(gathered, model)
        values = {
            "model": model,
            "docstrings": docstrings,
            "own_blocks": blocks(docstrings.own),
            "module": docstrings.module and source is not None,
            "entries": entries_with_model(gathered, model),
            "runs": [(run, gathered.task_of(run.config), gathered.score_of(run)) for run in runs],
            "sizes": _sizes(runs),
            "suites": [suite for suite in suites if is_of(suite, source)],
        }
        pages.append(Page(f"models/{model.name}.html", "model.html", model.name, "models", values))
    return pages


def entries_with_model(gathered: Gathered, model: Option) -> list[Entry]:
    """The rows of tables whose model it is, or is a part of, such as an encoder."""
    return [entry for entry in gathered.all_entries() if entry.config and model in gathered.models_in(entry.config)]


def runs_with_model(gathered: Gathered, model: Option) -> list[Record]:
    found = [record for record in gathered.records if model in gathered.models_in(record.config)]
    return sorted(found, key=lambda record: (record.experiment or "", record.seed, record.run_id))


def _sizes(runs: list[Record]) -> list[tuple[str, dict[str, float | None], Record]]:
    """The parameter counts that runs of the model had, by experiment, each pair once, with a run that had them."""
    found = {}
    for run in runs:
        name = run.experiment or run.task_version["name"]
        found.setdefault((name, *sorted(run.parameters.items())), (name, run.parameters, run))
    return list(found.values())
