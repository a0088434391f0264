"""What analyses drew of a table's runs: a row of panels for each row of the table, a panel for each figure."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

from seqbench.report.record import Record
from seqbench.report.svg import deterministic_pyplot, write_svg

Panels = dict[str, dict[str, list[dict[str, Any]]]]  # row's heading -> figure's name -> the runs' figures


def figures_of(runs_by_row: dict[str, list[Record]]) -> dict[str, Panels]:
    """The figures of each analysis that some run has; of several settings, those of the latest."""
    names = sorted({name for runs in runs_by_row.values() for run in runs for name in run.analyses})
    analyses: dict[str, Panels] = {}
    for name in names:
        panels: Panels = {}
        for heading, runs in runs_by_row.items():
            for run in runs:
                for figure, drawn in (run.analyses[name][-1]["figures"] if run.analyses.get(name) else {}).items():
                    panels.setdefault(heading, {}).setdefault(figure, []).append(drawn)
        if panels:
            analyses[name] = panels
    return analyses


def draw_panels(title: str, panels: Panels, path: Path) -> None:
    """One colour a line, all seeds alike. Several figures of a row stand side by side, as do rows of one figure."""
    pyplot = deterministic_pyplot()
    names = list(dict.fromkeys(name for figures in panels.values() for name in figures))
    shown = [(heading, figures.get(name, [])) for heading, figures in panels.items() for name in names]
    n_columns = len(names) if len(names) > 1 else min(3, len(shown))
    n_rows = math.ceil(len(shown) / n_columns)
    size = (4.0 * n_columns, 3.0 * n_rows + 0.9)
    figure, grid = pyplot.subplots(n_rows, n_columns, figsize=size, layout="constrained", squeeze=False)
    handles: dict[str, Any] = {}
    blank: list[tuple[str, list[dict[str, Any]]]] = [("", [])] * (grid.size - len(shown))
    for axes, (heading, runs) in zip(grid.flat, shown + blank, strict=True):
        axes.set_visible(bool(runs))
        _draw_panel(axes, runs, handles)
        axes.set_title(heading, fontsize=9)
    figure.suptitle(textwrap.fill(title, 56 * n_columns), fontsize=10)
    labels = [label.replace("_", " ") for label in handles]
    columns = min(2 * n_columns, len(handles))
    figure.legend(handles.values(), labels, fontsize=8, frameon=False, loc="outside lower center", ncols=columns)
    write_svg(figure, path)


def _draw_panel(axes: Any, runs: list[dict[str, Any]], handles: dict[str, Any]) -> None:
    for run in runs:
        for label, points in run["lines"].items():
            number = list(handles).index(label) if label in handles else len(handles)
            style = {"color": f"C{number % 10}", "marker": "osv^"[number // 10 % 4], "ms": 3, "lw": 1.2}
            (line,) = axes.plot(*zip(*points, strict=True), **style, label=label)
            handles.setdefault(label, line)
        axes.set_xlabel(run["x"])
        axes.set_ylabel(run["y"])
        axes.set_xscale("log" if "x" in run["log"] else "linear")
        axes.set_yscale("log" if "y" in run["log"] else "linear")
    axes.grid(alpha=0.25)
