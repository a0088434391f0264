"""The charts of a table, a run and an analysis, from records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from seqbench.report.curves import Panel, panels_of, spans_a_decade
from seqbench.report.figures import figures_of
from seqbench.report.record import Record
from seqbench.report.site.chart import Chart, Drawing, Line, Points, draw
from seqbench.report.site.gathered import Entry

WITHOUT_MEMORY = "baseline without memory"


def metric_of(record: Record) -> str | None:
    """The metric of a record's curve, which selected its weights."""
    return next((key for key in record.curve if key != "steps"), None)


def of_table(entries: list[Entry]) -> list[Drawing]:
    """The panels that `seqbench plots` draws of a table's rows: the mean over seeds in a band from the lowest to the
    highest, or a line a seed where they were evaluated at other steps."""
    complete = {entry.row.label for entry in entries if entry.runs and entry.row.partial is None}
    drawn = [entry for entry in entries if entry.row.partial is None or entry.row.label not in complete]
    panels = panels_of([(entry.row, entry.runs) for entry in drawn if entry.runs])
    drawings = [draw(_panel(panel, panel.title if len(panels) > 1 else "Learning curves")) for panel in panels]
    return [drawing for drawing in drawings if drawing is not None]


def _panel(panel: Panel, title: str) -> Chart:
    lines, references = [], []
    for line in panel.lines:
        if (seeds := line.over_seeds()) is not None:
            means = [(x, mean) for x, mean, _, _ in seeds]
            lines.append(Line(line.label, "mean", means, band=[(x, low, high) for x, _, low, high in seeds]))
        else:
            lines += [Line(line.label, "", list(zip(xs, ys, strict=True))) for xs, ys in line.runs]
        if line.published is not None:
            references.append((line.published, "published, on test", line.label))
    references += [(value, WITHOUT_MEMORY, "") for value in panel.baselines]
    return _logarithmic(Chart(title, "training steps", f"{panel.metric} on valid", lines, references=references))


def of_run(record: Record, seeds: list[Record]) -> Drawing | None:
    """A run's curve, those of its config's other seeds faint behind it."""
    metric = metric_of(record)
    if metric is None or len(record.curve["steps"]) < 2:
        return None
    others = [other for other in seeds if other is not record and metric_of(other) == metric]
    group = "another seed" if len(others) == 1 else "other seeds"
    lines = [Line("this run", f"seed {record.seed}", _points(record, metric))]
    lines += [Line(group, f"seed {other.seed}", _points(other, metric), faint=True) for other in others]
    baseline = record.metrics.get("baseline", {}).get(metric)
    references = [] if baseline is None else [(baseline, WITHOUT_MEMORY, "")]
    title = f"Learning curve of {record.run_id}"
    return draw(_logarithmic(Chart(title, "training steps", f"{metric} on valid", lines, references=references)))


def _points(record: Record, metric: str) -> Points:
    pairs = zip(record.curve["steps"], record.curve[metric], strict=True)
    return [(step, value) for step, value in pairs if value is not None]


def _logarithmic(chart: Chart) -> Chart:
    """The chart with a logarithmic height where its lines and levels span more than a decade, as in the plots."""
    heights = [y for line in chart.lines for _, y in line.points] + [y for y, _, _ in chart.references]
    return replace(chart, log_y=spans_a_decade(heights))


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
