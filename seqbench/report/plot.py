"""Learning curves of a table's rows, as the papers show them: the selection metric on valid over training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from seqbench.errors import UserError, did_you_mean
from seqbench.report.curves import Panel, panels_of, spans_a_decade
from seqbench.report.declaration import Row, Table, read_declaration
from seqbench.report.figures import draw_panels, figures_of
from seqbench.report.graphs import draw_graphs, graphs_of
from seqbench.report.ledger import read_ledger
from seqbench.report.record import FINISHED, Record
from seqbench.report.selection import Compose, runs_of
from seqbench.report.svg import deterministic_pyplot, write_svg

AXES = {"steps": "training steps", "tokens": "training tokens", "hours": "hours of training"}
_MOST_COLUMNS = 3  # of panels


def build_plots(
    declaration: Path,
    ledger: Path,
    output: Path,
    compose: Compose,
    names: list[str] | None = None,
    x: str = "steps",
    required: bool = True,
) -> list[Path]:
    """Write `<table>.svg`, the learning curves, `<table>.<analysis>.svg`, what an analysis drew of the runs, and
    `<table>.<analysis>.graphs.svg`, the automata that it found, for the tables `names` (None: all that have any) and
    return the paths. Over tokens or hours the curves are
    `<table>.<x>.svg`.

    One colour a row: the mean over seeds in a band from the lowest to the highest. The published number is a dotted
    line of that colour, the memoryless baseline is dashed. Different data have a panel each. A partial row is left out
    where a complete row has the same label. On an unchanged ledger the files come out the same byte for byte. Raises
    `UserError` for an unknown table or axis, or, if `required`, a table asked for by name that has nothing to draw yet.
    """
    if x not in AXES:
        raise UserError(f"x is one of {', '.join(AXES)}, not {x!r}{did_you_mean(x, AXES)}.")
    tables = read_declaration(declaration)
    for name in names or []:
        if name not in tables:
            raise UserError(f"There is no table {name}{did_you_mean(name, tables)}.")
    records = [record for record in read_ledger(ledger) if record.status == FINISHED]
    paths = []
    for name in names or tables:
        runs_by_row = _runs_by_row(tables[name], records, compose)
        panels = panels_of(runs_by_row, x)
        by_heading = {row.heading(): runs for row, runs in runs_by_row}
        figures, graphs = figures_of(by_heading), graphs_of(by_heading)
        if names and required and not panels and not figures:
            raise UserError(f"No finished run of the table {name} has a learning curve.")
        output.mkdir(parents=True, exist_ok=True)
        if panels:
            paths.append(output / (f"{name}.svg" if x == "steps" else f"{name}.{x}.svg"))
            _draw(tables[name].title, panels, AXES[x], paths[-1])
        for analysis, drawn in figures.items() if x == "steps" else ():
            paths.append(output / f"{name}.{analysis}.svg")
            draw_panels(f"{tables[name].title}: {analysis.replace('_', ' ')}", drawn, paths[-1])
        for analysis, found in graphs.items() if x == "steps" else ():
            paths.append(output / f"{name}.{analysis}.graphs.svg")
            draw_graphs(f"{tables[name].title}: {analysis.replace('_', ' ')}", found, paths[-1])
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


def _draw(title: str, panels: list[Panel], x_label: str, path: Path) -> None:
    pyplot = deterministic_pyplot()
    n_columns = min(_MOST_COLUMNS, len(panels))
    n_rows = math.ceil(len(panels) / n_columns)
    width = 6.4 if n_columns == 1 else 4.2 * n_columns
    figure, grid = pyplot.subplots(
        n_rows, n_columns, figsize=(width, 3.8 * n_rows), layout="constrained", squeeze=False
    )
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw_panel(axes, panel)
        axes.set_xlabel(x_label)
        if len(panels) > 1:
            axes.set_title(panel.title, fontsize=9)
            axes.legend(fontsize=7, frameon=False)
    if len(panels) == 1:
        grid.flat[0].set_title(title, fontsize=10)
        _legend_below(figure, n_rows)
    else:
        figure.suptitle(title, fontsize=10)
    write_svg(figure, path)


def _draw_panel(axes: Any, panel: Panel) -> None:
    heights: list[float] = []
    for number, line in enumerate(panel.lines):
        # there are ten colours; dashes are for the baseline
        style = {"color": f"C{number % 10}", "marker": "os^v"[number // 10 % 4], "ms": 3, "lw": 1.4}
        style |= {"ls": "-" if number < 10 else ":"}
        drawn = line.runs
        if (seeds := line.over_seeds()) is not None:
            xs, means, lows, highs = zip(*seeds, strict=True)
            axes.fill_between(xs, lows, highs, alpha=0.2, lw=0, color=style["color"])
            drawn = [(list(xs), list(means))]
        for index, (xs, ys) in enumerate(drawn):
            axes.plot(xs, ys, **style, label=line.label if index == 0 else None)
        heights += [y for _, ys in line.runs for y in ys]
        if line.published is not None:
            axes.axhline(line.published, color=style["color"], ls=":", lw=1)
            heights.append(line.published)
    if any(line.published is not None for line in panel.lines):
        axes.plot([], [], color="0.4", ls=":", lw=1, label="published, on test")
    for baseline in panel.baselines:
        axes.axhline(baseline, color="0.4", ls="--", lw=1, label="baseline without memory")
        heights.append(baseline)
    if spans_a_decade(heights):
        axes.set_yscale("log")
    axes.set_ylabel(f"{panel.metric} on valid")
    axes.grid(alpha=0.25)


def _legend_below(figure: Any, n_rows: int) -> None:
    for columns in (3, 2, 1):
        legend = figure.legend(fontsize=8, frameon=False, loc="outside lower center", ncols=columns)
        figure.draw_without_rendering()
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            break
        legend.remove()
    figure.set_figheight(max(3.8 * n_rows, 3.0 + legend.get_window_extent().height / figure.dpi))
