"""The learning curves of a table's rows, as numbers: what plots and pages draw."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from seqbench.report.declaration import Published, Row
from seqbench.report.record import Record

_DECADE = 10.0
Run = tuple[list[float], list[float]]  # x and y
_SAME_UNIT: dict[
    tuple[str, str], Callable[[float], float]
] = {  # (published, selection metric): papers print the former
    ("ppl", "nll"): math.log,
    ("bpc", "nll"): lambda value: value * math.log(2),
    ("accuracy", "error"): lambda value: 1 - value,
}


@dataclass(frozen=True)
class Line:
    """A row's runs, one for each seed, and its published number in the unit of the curves."""

    label: str
    runs: list[Run]
    published: float | None

    def over_seeds(self) -> list[tuple[float, float, float, float]] | None:
        """(x, mean, lowest, highest) at each evaluation; None for one run, or runs evaluated at different x."""
        if len(self.runs) < 2 or len({tuple(xs) for xs, _ in self.runs}) > 1:
            return None
        heights = zip(*(ys for _, ys in self.runs), strict=True)
        return [(x, statistics.fmean(ys), min(ys), max(ys)) for x, ys in zip(self.runs[0][0], heights, strict=True)]


@dataclass
class Panel:
    """Lines of one metric on the same data."""

    title: str
    metric: str
    lines: list[Line] = field(default_factory=list)
    baselines: list[float] = field(default_factory=list)


def spans_a_decade(heights: Iterable[float]) -> bool:
    """Whether these are better drawn over a logarithmic axis."""
    heights = list(heights)
    return bool(heights) and min(heights) > 0 and max(heights) > _DECADE * min(heights)


def panels_of(runs_by_row: list[tuple[Row, list[Record]]], x: str = "steps") -> list[Panel]:
    """A panel for each data and metric of the rows' runs. Runs without a curve are left out, and panels in which none
    has more than a point."""
    panels: dict[tuple[str, str], Panel] = {}
    for row, records in runs_by_row:
        records = [record for record in records if record.curve]
        if not records:
            continue
        metric, data = _metric(records[0]), str(records[0].task_version["name"])
        panel = panels.setdefault((data, metric), Panel(data.replace("_", " "), metric))
        label = f"{row.heading()} ({len(records)} seeds)" if len(records) > 1 else row.heading()
        runs = [_run(record, metric, x) for record in records]
        panel.lines.append(Line(label, runs, _published(row, metric)))
        baselines = {record.metrics["baseline"].get(metric) for record in records}
        panel.baselines += sorted(value for value in baselines if value is not None and value not in panel.baselines)
    return [panel for panel in panels.values() if any(len(xs) > 1 for line in panel.lines for xs, _ in line.runs)]


def _metric(record: Record) -> str:
    return next(key for key in record.curve if key != "steps")


def _run(record: Record, metric: str, x: str) -> Run:
    """A run's points; an evaluation that was not finite has none."""
    points = zip(_positions(record, x), record.curve[metric], strict=True)
    finite = [(position, float(value)) for position, value in points if value is not None]
    return [position for position, _ in finite], [value for _, value in finite]


def _positions(record: Record, x: str) -> list[float]:
    """Where a run's evaluations lie. Tokens and hours are the run's own, spread evenly over its steps."""
    hours = record.wall_seconds / 3600
    totals = {"steps": record.steps, "hours": hours, "tokens": (record.tokens_per_second or 0.0) * record.wall_seconds}
    return [step * totals[x] / record.steps for step in record.curve["steps"]]


def _published(row: Row, metric: str) -> float | None:
    for path, published in row.published.items():
        split, _, name = path.partition(".")
        if split != "test" or row.partial is not None:
            continue
        value = _value(published)
        if name == metric:
            return value
        if (name, metric) in _SAME_UNIT:
            return _SAME_UNIT[name, metric](value)
    return None


def _value(published: Published) -> float:
    return float(published.value) / (100 if published.percent else 1)
