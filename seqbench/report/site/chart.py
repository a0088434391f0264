"""Lines over an axis, as a drawing that a template writes as SVG: its colours come from the page's style sheet."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from seqbench.report.site.axis import Axis, axis_for
from seqbench.report.site.wording import number, tick

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 92, 36, 40, 80  # room for what a narrow screen writes larger
N_COLOURS = 8  # in the style sheet; a ninth line has the first's colour and dashes

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """`group` is what has one colour and one entry in the legend, such as a table's row, and `label` the line's own,
    such as a seed. `faint`: it is there to be compared with. `band` is (x, low, high) for each point, or nothing."""

    group: str
    label: str
    points: Points
    faint: bool = False
    band: list[tuple[float, float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Chart:
    """`references` are level lines: (y, text, the group whose colour they have or "")."""

    title: str
    x: str
    y: str
    lines: list[Line]
    log_x: bool = False
    log_y: bool = False
    references: list[tuple[float, str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Mark:
    """A line's shape: `path` and `band` are SVG's, `dots` are the centres of its points where they are few."""

    style: str
    text: str
    path: str
    band: str
    dots: list[tuple[float, float]]


@dataclass(frozen=True)
class Drawing:
    """A chart with all places in the units of its view box. Ticks are (place, text), references (place, text, style),
    and the `legend` is (style, text), with that of levels, each once."""

    chart: Chart
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    marks: list[Mark]
    references: list[tuple[float, str, str]]
    legend: list[tuple[str, str]]
    level_legend: list[str]
    description: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def draw(chart: Chart) -> Drawing | None:
    """None where no line has a point with finite coordinates that its axes can show."""
    lines = [(line, _shown(line.points, chart)) for line in chart.lines]
    lines = [(line, points) for line, points in lines if points]
    if not lines:
        return None
    xs = [x for _, points in lines for x, _ in points]
    ys = [y for _, points in lines for _, y in points]
    ys += [y for line, _ in lines for _, *ends in line.band for y in ends if math.isfinite(y)]
    levels = [level for level in chart.references if not chart.log_y or level[0] > 0]
    x_axis = axis_for(xs, chart.log_x, room=0.02)
    y_axis = axis_for([*ys, *(y for y, _, _ in levels)], chart.log_y)
    groups = list(dict.fromkeys(line.group for line, _ in lines))
    marks = [_mark(line, points, groups.index(line.group), x_axis, y_axis) for line, points in lines]
    return Drawing(
        chart,
        [(_across(x_axis, value), tick(value)) for value in x_axis.ticks()],
        [(_down(y_axis, value), tick(value)) for value in y_axis.ticks()],
        marks,
        [(_down(y_axis, y), text, style(groups.index(group)) if group in groups else "") for y, text, group in levels],
        [(style(index), group) for index, group in enumerate(groups) if group],
        list(dict.fromkeys(text for _, text, _ in levels)),
        _description(chart, lines, levels),
    )


def style(index: int) -> str:
    """The style sheet's classes of the group with this number."""
    return f"c{index % N_COLOURS}" + (f" d{index // N_COLOURS % 3}" if index >= N_COLOURS else "")


def _shown(points: Points, chart: Chart) -> Points:
    return [
        (x, y)
        for x, y in points
        if math.isfinite(x) and math.isfinite(y) and not (chart.log_x and x <= 0) and not (chart.log_y and y <= 0)
    ]


def _mark(line: Line, points: Points, index: int, x_axis: Axis, y_axis: Axis) -> Mark:
    places = [(_across(x_axis, x), _down(y_axis, y)) for x, y in points]
    path = "M" + "L".join(f"{x:g} {y:g}" for x, y in places) if len(places) > 1 else ""
    classes = style(index) + (" faint" if line.faint else "")
    text = ", ".join(filter(None, (line.group, line.label)))
    return Mark(classes, text, path, _band(line, x_axis, y_axis), places if len(places) <= 24 else [])


def _band(line: Line, x_axis: Axis, y_axis: Axis) -> str:
    lows = [(x, low) for x, low, _ in line.band if low > 0 or not y_axis.log]
    highs = [(x, high) for x, _, high in line.band if high > 0 or not y_axis.log]
    around = [(_across(x_axis, x), _down(y_axis, y)) for x, y in (*lows, *reversed(highs))]
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in around) + "Z" if len(around) > 3 else ""


def _across(axis: Axis, value: float) -> float:
    return round(LEFT + axis.place(value) * (WIDTH - RIGHT - LEFT), 1)


def _down(axis: Axis, value: float) -> float:
    return round(HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - BOTTOM - TOP), 1)


def _description(chart: Chart, lines: list[tuple[Line, Points]], levels: list[tuple[float, str, str]]) -> str:
    """For those who do not see the drawing: where each line ends."""
    ends = [
        f"{', '.join(filter(None, (line.group, line.label))) or 'it'}: from {number(points[0][1])} to "
        f"{number(points[-1][1])} at {number(points[-1][0])}"
        for line, points in lines
    ]
    dashed = [f"{', '.join(filter(None, (group, text)))}: {number(y)}" for y, text, group in levels]
    return f"{chart.y} over {chart.x}. {'; '.join([*ends, *dashed])}."
