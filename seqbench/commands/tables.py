"""`seqbench tables` and `seqbench plots`: what results/tables.yaml declares, made from the ledger."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from seqbench.config.check import check
from seqbench.config.compose import composed
from seqbench.config.identity import hashed
from seqbench.errors import UserError
from seqbench.report.build import build_tables
from seqbench.report.places import Places
from seqbench.report.plot import build_plots
from seqbench.report.selection import Compose


def tables(arguments: list[str]) -> None:
    """Writes <name>.md and <name>.tex to results/tables, as results/tables.yaml declares them.

    <name> ...                         the tables to write; without a name, all
    results_dir=results                the folder of tables.yaml and of the ledger, runs/
    """
    names, places = _names_and_places(arguments)
    for path in build_tables(places.declaration, places.runs, places.tables, compose_row, names):
        print(path)


def plots(arguments: list[str]) -> None:
    """Draws <name>.svg in results/plots: the selection metric on valid over training, a curve for each row.

    x=steps|tokens|hours               what the curves are drawn over; tokens and hours have files of their own
    <name> ...                         the tables whose runs are drawn; without a name, all whose runs have curves
    results_dir=results                the folder of tables.yaml and of the ledger, runs/
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UserError('plots needs matplotlib: pip install "seqbench[plots]".')
    chosen = [argument.partition("=")[2] for argument in arguments if argument.startswith("x=")]
    names, places = _names_and_places([argument for argument in arguments if not argument.startswith("x=")])
    x = chosen[-1] if chosen else "steps"
    for path in build_plots(places.declaration, places.runs, places.plots, compose_row, names, x):
        print(path)


def draw_plots(places: Places, names: list[str], compose: Compose) -> list[Path]:
    """Draw those of the tables that have something to draw, where matplotlib is installed."""
    if importlib.util.find_spec("matplotlib") is None:
        return []
    return build_plots(places.declaration, places.runs, places.plots, compose, names, required=False)


def compose_row(experiment: str, overrides: list[str]) -> dict[str, Any]:
    """The settings of a table's row that determine its results."""
    config = composed([f"experiment={experiment}", *overrides])
    check(config)
    return hashed(config)


def _names_and_places(arguments: list[str]) -> tuple[list[str] | None, Places]:
    names = [argument for argument in arguments if "=" not in argument]
    settings = [argument for argument in arguments if "=" in argument]
    return names or None, Places(composed(settings))
