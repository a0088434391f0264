"""Learning curves of a table's rows, as the papers show them: the selection metric on valid over training steps."""

from __future__ import annotations

import io
from pathlib import Path

from seqbench.data.files.atomic import write_whole
from seqbench.errors import UserError, did_you_mean
from seqbench.report.declaration import read_declaration
from seqbench.report.ledger import read_ledger
from seqbench.report.record import FINISHED, Record
from seqbench.report.table import Compose, select


def build_plots(
    declaration: Path, ledger: Path, output: Path, compose: Compose, names: list[str] | None = None
) -> list[Path]:
    """Write `<table>.svg` for the tables `names` (None: all that have curves) and return the paths.

    One colour a row, one line a seed; the memoryless baseline is dashed. A partial row is left out where a complete row
    has the same label. On an unchanged ledger the files come out the same byte for byte. Raises `UserError` for an
    unknown table, or one asked for by name that has no curve yet.
    """
    tables = read_declaration(declaration)
    for name in names or []:
        if name not in tables:
            raise UserError(f"There is no table {name}{did_you_mean(name, tables)}.")
    records = [record for record in read_ledger(ledger) if record.status == FINISHED and record.curve]
    paths = []
    for name in names or tables:
        runs_by_row = []
        for row in tables[name].rows:
            runs = [] if row.experiment is None else select(records, compose(row.experiment, row.overrides))
            if runs:
                runs_by_row.append((row, runs))
        complete = [row.label for row, _ in runs_by_row if row.partial is None]
        shown = [(row, runs) for row, runs in runs_by_row if row.partial is None or row.label not in complete]
        curves = {row.heading(): runs for row, runs in shown}
        if curves:
            output.mkdir(parents=True, exist_ok=True)
            paths.append(output / f"{name}.svg")
            _draw(tables[name].title, curves, paths[-1])
        elif names:
            raise UserError(f"No finished run of the table {name} has a learning curve.")
    return paths


def _draw(title: str, curves: dict[str, list[Record]], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "seqbench"  # the same file every time
    from matplotlib import pyplot

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
    drawing = io.BytesIO()
    figure.savefig(drawing, format="svg", metadata={"Date": None})
    write_whole(path, drawing.getvalue())
    pyplot.close(figure)
