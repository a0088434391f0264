"""The charts of a table, a run and an analysis, from records."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from seqbench.report.figures import figures_of
from seqbench.report.record import Record
from seqbench.report.site.chart import Chart, Drawing, Line, draw
from seqbench.report.site.gathered import Entry


def metric_of(record: Record) -> str | None:
    """The metric of a record's curve, which selected its weights."""
    return next((key for key in record.curve if key != "steps"), None)


def of_table(title: str, entries: list[Entry]) -> Drawing | None:
    """The selection metric on valid over training steps, one colour a row and one line a seed. A partial row is left
    out where a complete row has the same label; None where no run was evaluated twice."""
    complete = {entry.row.label for entry in entries if entry.runs and entry.row.partial is None}
    drawn = [entry for entry in entries if entry.row.partial is None or entry.row.label not in complete]
    lines = [(entry.row.heading(), record) for entry in drawn for record in entry.runs if record.curve]
    if not any(len(record.curve["steps"]) > 1 for _, record in lines):
        return None
    chart = _curves(title, [(heading, record, False) for heading, record in lines])
    published = [_published(entry, record) for entry in drawn for record in entry.runs[:1] if record.curve]
    return draw(replace(chart, references=[*chart.references, *filter(None, published)]))


def _published(entry: Entry, record: Record) -> tuple[float, str, str] | None:
    """The number that the paper gives on valid, in the unit of the curve."""
    metric, published = metric_of(record), entry.row.published
    text, group = f"published: {entry.row.label}", entry.row.heading()
    if f"valid.{metric}" in published:
        return float(published[f"valid.{metric}"].value), text, group
    if metric == "nll" and "valid.ppl" in published:
        return math.log(float(published["valid.ppl"].value)), text, group
    return None


def of_run(record: Record, seeds: list[Record]) -> Drawing | None:
    """A run's curve, those of its config's other seeds faint behind it."""
    if len(record.curve.get("steps", [])) < 2:
        return None
    others = [(f"other seed{'s' if len(seeds) > 2 else ''}", other, True) for other in seeds if other is not record]
    shown = [(heading, other, faint) for heading, other, faint in others if metric_of(other) == metric_of(record)]
    return draw(_curves(f"Learning curve of {record.run_id}", [("this run", record, False), *shown]))


def _curves(title: str, shown: list[tuple[str, Record, bool]]) -> Chart:
    metrics = list(dict.fromkeys(filter(None, (metric_of(record) for _, record, _ in shown))))
    lines, baselines = [], {}
    for heading, record, faint in shown:
        metric = metric_of(record)
        if metric is None:
            continue
        points = list(zip(record.curve["steps"], record.curve[metric], strict=True))
        points = [(step, value) for step, value in points if value is not None]
        lines.append(Line(heading, f"seed {record.seed}", points, faint))
        baseline = record.metrics.get("baseline", {}).get(metric)
        if baseline is not None:
            baselines[baseline] = "baseline without memory"
    # what lies below a baseline lies far below
    references = [(value, text, "") for value, text in baselines.items()]
    return Chart(title, "training steps", f"{' or '.join(metrics)} on valid", lines, False, bool(baselines), references)


def of_analysis(name: str, figure: str, drawn: dict[str, Any]) -> Drawing | None:
    """A figure of an analysis of one run."""
    return draw(_figure(f"{name}, {figure}".replace("_", " "), [drawn]))


def of_analyses(entries: list[Entry]) -> list[Drawing]:
    """The figures of a table's analyses, one for each row and figure; all seeds of a row alike."""
    runs_by_row = {entry.row.heading(): entry.runs for entry in entries if entry.runs}
    drawings = [
        draw(_figure(f"{heading}: {name}, {figure}".replace("_", " "), runs))
        for name, panels in figures_of(runs_by_row).items()
        for heading, figures in panels.items()
        for figure, runs in figures.items()
    ]
    return [drawing for drawing in drawings if drawing is not None]


def _figure(title: str, runs: list[dict[str, Any]]) -> Chart:
    lines = [
        Line(label.replace("_", " "), "", [(x, y) for x, y in points])
        for run in runs
        for label, points in run["lines"].items()
    ]
    first = runs[0]
    return Chart(title, first["x"], first["y"], lines, "x" in first["log"], "y" in first["log"])
