"""Learning curves of a table's rows, as the papers show them: the selection metric on valid over training steps."""

from __future__ import annotations

from pathlib import Path

from seqbench.errors import UserError, did_you_mean
from seqbench.report.declaration import Row, Table, read_declaration
from seqbench.report.figures import draw_panels, figures_of
from seqbench.report.ledger import read_ledger
from seqbench.report.record import FINISHED, Record
from seqbench.report.selection import Compose, runs_of
from seqbench.report.svg import deterministic_pyplot, write_svg


def build_plots(
    declaration: Path,
    ledger: Path,
    output: Path,
    compose: Compose,
    names: list[str] | None = None,
    required: bool = True,
) -> list[Path]:
    """Write `<table>.svg`, the learning curves, and `<table>.<analysis>.svg`, what an analysis drew of the runs, for
    the tables `names` (None: all that have any) and return the paths.

    One colour a row, one line a seed; the memoryless baseline is dashed. A partial row is left out where a complete row
    has the same label. On an unchanged ledger the files come out the same byte for byte. Raises `UserError` for an
    unknown table, or, if `required`, one asked for by name that has nothing to draw yet.
    """
    tables = read_declaration(declaration)
    for name in names or []:
        if name not in tables:
            raise UserError(f"There is no table {name}{did_you_mean(name, tables)}.")
    records = [record for record in read_ledger(ledger) if record.status == FINISHED]
    paths = []
    for name in names or tables:
        runs_by_row = _runs_by_row(tables[name], records, compose)
        with_curves = {row.heading(): [run for run in runs if run.curve] for row, runs in runs_by_row}
        curves = {heading: runs for heading, runs in with_curves.items() if runs}
        if all(len(run.curve["steps"]) == 1 for runs in curves.values() for run in runs):
            curves = {}  # points are no curves
        figures = figures_of({row.heading(): runs for row, runs in runs_by_row})
        if names and required and not curves and not figures:
            raise UserError(f"No finished run of the table {name} has a learning curve.")
        output.mkdir(parents=True, exist_ok=True)
        if curves:
            paths.append(output / f"{name}.svg")
            _draw(tables[name].title, curves, paths[-1])
        for analysis, panels in figures.items():
            paths.append(output / f"{name}.{analysis}.svg")
            draw_panels(f"{tables[name].title}: {analysis.replace('_', ' ')}", panels, paths[-1])
    return paths


def _runs_by_row(table: Table, records: list[Record], compose: Compose) -> list[tuple[Row, list[Record]]]:
    """The rows that have runs, but for a partial one where a complete one has the same label."""
    rows = []
    for row in table.rows:
        runs = runs_of(row, records, compose)
        if runs:
            rows.append((row, runs))
    complete = [row.label for row, _ in rows if row.partial is None]
    return [(row, runs) for row, runs in rows if row.partial is None or row.label not in complete]


def _draw(title: str, curves: dict[str, list[Record]], path: Path) -> None:
    pyplot = deterministic_pyplot()
    figure, axes = pyplot.subplots(figsize=(6.4, 3.8), layout="constrained")
    baselines: dict[float, str] = {}
    for number, (label, records) in enumerate(curves.items()):
        for index, record in enumerate(records):
            metric = next(key for key in record.curve if key != "steps")
            seeds = f" ({len(records)} seeds)" if len(records) > 1 else ""
            text = f"{label}{seeds}" if index == 0 else None
            # there are ten colours; dashes are for the baseline
            drawn = {"color": f"C{number % 10}", "marker": "os^v"[number // 10 % 4], "ms": 3, "lw": 1.4}
            axes.plot(record.curve["steps"], record.curve[metric], **drawn, ls="-" if number < 10 else ":", label=text)
            if metric in record.metrics["baseline"]:
                baselines[record.metrics["baseline"][metric]] = "baseline without memory"
            axes.set_ylabel(f"{metric} on valid")
    for value, text in baselines.items():
        axes.axhline(value, color="0.4", ls="--", lw=1, label=text)
    if baselines:
        axes.set_yscale("log")  # what lies below a baseline lies far below
    axes.set_xlabel("training steps")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    for columns in (3, 2, 1):
        legend = figure.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=columns)
        figure.draw_without_rendering()
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            break
        legend.remove()
    figure.set_figheight(max(3.8, 3.0 + legend.get_window_extent().height / figure.dpi))  # room for curves and legend
    write_svg(figure, path)
