"""What several runs reached on test, as lists and the end of a sweep show it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from seqbench.report.columns import aligned
from seqbench.report.record import Record


def error_of(record: Record) -> float:
    """The metric that selects weights, on test; lower is better. Old records have no curve that names it."""
    test = record.metrics.get("test", {})
    names = [*(name for name in record.curve if name != "steps"), "nll", "mse"]
    value = next((test[name] for name in names if name in test), None)
    return math.inf if value is None else value


def main_metrics(metrics: Iterable[str]) -> list[str]:
    """Not those of a part or of a solver, whose names have two words, nor nll beside ppl or bpc."""
    main = sorted(name for name in metrics if "_" not in name)
    if "ppl" in main or "bpc" in main:
        main = [name for name in main if name != "nll"]
    return main


def in_words(metrics: Mapping[str, float | None]) -> str:
    """The main metrics with their names: `accuracy 0.9  nll 0.1`."""
    values = {name: metrics[name] for name in main_metrics(metrics)}
    return "  ".join(f"{name} {'–' if value is None else format(value, '.5g')}" for name, value in values.items())


def summary_of_groups(groups: Mapping[str, Sequence[Record]]) -> str:
    """A table of runs that differ in their seeds alone, by what tells the groups apart: the mean over seeds of each
    main metric on test, the best group first. Those of different data stand in tables of their own."""
    data = sorted({str(records[0].task_version["name"]) for records in groups.values()})
    blocks = []
    for name in data:
        mine = {label: runs for label, runs in groups.items() if str(runs[0].task_version["name"]) == name}
        order = sorted(mine, key=lambda label: (statistics.fmean(map(error_of, mine[label])), label))
        metrics = main_metrics({metric for runs in mine.values() for metric in runs[0].metrics.get("test", {})})
        rows = [("", "seeds", *metrics)]
        rows += [(label, str(len(mine[label])), *(_mean(mine[label], metric) for metric in metrics)) for label in order]
        blocks.append(f"{name}, on test:\n{aligned(rows)}")
    return "\n\n".join(blocks)


def _mean(records: Sequence[Record], metric: str) -> str:
    numbers = [record.metrics["test"].get(metric) for record in records]
    seen = [number for number in numbers if number is not None]
    if not seen:
        return "–"
    mean = f"{statistics.fmean(seen):.5g}"
    return f"{mean} ± {statistics.stdev(seen):.2g}" if len(seen) > 1 else mean
