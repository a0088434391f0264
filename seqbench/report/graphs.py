"""Automata that analyses found of a table's runs, drawn: states on a circle, arrows between them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from seqbench.report.record import Record
from seqbench.report.svg import deterministic_pyplot, write_svg

Found = dict[str, list[tuple[str, dict[str, Any]]]]  # analysis -> (title, graph)
MOST_STATES = 12  # of a graph that is drawn: more cannot be read
_RADIUS = 0.16  # of a state
_BEND = 0.2  # of an arrow, in parts of its length


def graphs_of(runs_by_row: dict[str, list[Record]]) -> Found:
    """The graphs of each analysis that some run has, the lowest seed's of each row; of several settings, the latest."""
    found: Found = {}
    for heading, runs in runs_by_row.items():
        names = sorted({name for run in runs for name in run.analyses})
        for name in names:
            run = min((run for run in runs if run.analyses.get(name)), key=lambda run: run.seed)
            for graph in run.analyses[name][-1].get("graphs", {}).values():
                found.setdefault(name, []).append((f"{heading}, seed {run.seed}", graph))
    return found


def draw_graphs(title: str, graphs: list[tuple[str, dict[str, Any]]], path: Path) -> None:
    """A panel for each graph; of one that is too large to be read, its number of states."""
    pyplot = deterministic_pyplot()
    n_columns = min(3, len(graphs))
    n_rows = math.ceil(len(graphs) / n_columns)
    figure, grid = pyplot.subplots(
        n_rows, n_columns, figsize=(4.0 * n_columns, 3.6 * n_rows + 0.5), layout="constrained", squeeze=False
    )
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (heading, graph) in zip(grid.flat, graphs, strict=False):
        axes.set_title(heading, fontsize=9)
        axes.set_aspect("equal")
        if graph["n_states"] > MOST_STATES:
            axes.text(0.5, 0.5, f"{graph['n_states']} states", ha="center", transform=axes.transAxes)
        else:
            _draw(axes, graph)
    figure.suptitle(title, fontsize=10)
    write_svg(figure, path)


def places(n_states: int) -> list[tuple[float, float]]:
    """Where the states stand: on a circle, clockwise from its left."""
    angles = [math.pi - 2 * math.pi * state / n_states for state in range(n_states)]
    radius = 0.0 if n_states == 1 else max(0.5, 0.09 * n_states + 0.3)
    return [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]


def _draw(axes: Any, graph: dict[str, Any]) -> None:
    from matplotlib.patches import Circle

    at = places(graph["n_states"])
    for state, place in enumerate(at):
        axes.add_patch(Circle(place, _RADIUS, fill=False, lw=1.2))
        if state in graph["accepting"]:
            axes.add_patch(Circle(place, 0.8 * _RADIUS, fill=False, lw=0.9))
        axes.text(*place, str(state), ha="center", va="center", fontsize=9)
    x, y = at[graph["start"]]
    _arrow(axes, (x - 3 * _RADIUS, y), (x - _RADIUS, y), 0.0)
    for before, after, label in graph["edges"]:
        if before == after:
            _loop(axes, at[before], label)
        else:
            _edge(axes, at[before], at[after], label)
    reach = max(math.hypot(x, y) for x, y in at) + 4 * _RADIUS
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)


def _edge(axes: Any, start: tuple[float, float], end: tuple[float, float], label: str) -> None:
    """Bent to the left of its way, so that the way back is another line."""
    distance = math.dist(start, end)
    along = ((end[0] - start[0]) / distance, (end[1] - start[1]) / distance)
    left = (-along[1], along[0])
    tail, tip = (
        (
            place[0] + sign * 0.9 * _RADIUS * along[0] + 0.4 * _RADIUS * left[0],
            place[1] + sign * 0.9 * _RADIUS * along[1] + 0.4 * _RADIUS * left[1],
        )
        for place, sign in ((start, 1), (end, -1))
    )
    _arrow(axes, tail, tip, -_BEND)
    part, lift = 0.36, 0.46 * _BEND * distance + 0.85 * _RADIUS  # nearer its tail, apart from other ways' labels
    x, y = (start[i] + part * distance * along[i] + lift * left[i] for i in range(2))
    axes.text(x, y, label, ha="center", va="center", fontsize=8, color="C3")


def _loop(axes: Any, place: tuple[float, float], label: str) -> None:
    """On the side of a state that is away from the middle; above a lone one."""
    distance = math.hypot(*place)
    out = math.pi / 2 if distance == 0 else math.atan2(place[1], place[0])
    if abs(math.cos(out) + 1) < 1e-6:  # where the start's arrow comes in
        out = 0.7 * math.pi
    tail, tip = (
        (place[0] + _RADIUS * math.cos(out + turn), place[1] + _RADIUS * math.sin(out + turn)) for turn in (0.5, -0.5)
    )
    _arrow(axes, tail, tip, -1.6)
    far = 2.7 * _RADIUS
    axes.text(
        place[0] + far * math.cos(out),
        place[1] + far * math.sin(out),
        label,
        ha="center",
        va="center",
        fontsize=8,
        color="C3",
    )


def _arrow(axes: Any, tail: tuple[float, float], tip: tuple[float, float], bend: float) -> None:
    style = {"arrowstyle": "-|>", "connectionstyle": f"arc3,rad={bend}", "lw": 0.9, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=tip, xytext=tail, arrowprops={"color": "0.3", **style})
