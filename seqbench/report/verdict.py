"""Whether a row's runs reach the number that its paper gives. Decided by the records alone."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from seqbench.contracts.metrics import is_higher_better
from seqbench.report.declaration import Column, Published, Row, Table
from seqbench.report.numbers import measured
from seqbench.report.record import Record
from seqbench.report.statistics import mean_interval

REPRODUCED, BETTER, NOT_REPRODUCED = "reproduced", "better", "not reproduced"
PARTIAL, NOT_RUN = "partial", "not run"
KINDS = (REPRODUCED, BETTER, NOT_REPRODUCED, PARTIAL, NOT_RUN)
TOLERANCE = 0.02  # of the published number
LEGEND = (
    f"Verdicts: reproduced, where the published number lies within {100 * TOLERANCE:.0f} % of our mean or within its "
    "95 % interval over seeds (bootstrap); better or not reproduced otherwise, with our mean's distance from the "
    "published number; partial, where training was shorter than the paper's; not run."
)


@dataclass(frozen=True)
class Verdict:
    """`kind` is one of `KINDS`, of the published number at `metric`, and `why` a reason where there is more to say.
    `values` are the runs' own, by seed, in the published number's unit; `interval` is that of their mean."""

    kind: str
    metric: str
    published: Published
    values: dict[int, float]
    interval: tuple[float, float] | None = None
    why: str = ""

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.values.values()) if self.values else None

    def text(self) -> str:
        """The verdict in the words of a table's cell."""
        if self.mean is None or self.kind == PARTIAL:
            return self.kind
        return f"{self.kind} ({distance(self.mean, float(self.published.value))})"


def judge(table: Table, row: Row, records: list[Record]) -> Verdict | None:
    """The verdict on a row by its records; None where there is no run of ours to expect or no published number.

    Where a paper gives several numbers, the one on test is judged.
    """
    if row.experiment is None or not row.published:
        return None
    metric = judged_metric(row)
    published = row.published[metric]
    column = next((column for column in table.columns if column.metric == metric), Column("", metric=metric))
    unit = 100 if published.percent else 1
    values = {seed: unit * number for seed, number in measured(column, row, records).items()}
    if not values:
        why = f"its runs have no {metric}" if records else "there is no finished run"
        return Verdict(NOT_RUN, metric, published, values, why=why)
    numbers = list(values.values())
    interval = mean_interval(numbers)
    if row.partial is not None:
        return Verdict(PARTIAL, metric, published, values, interval, why=row.partial)
    mean, goal = statistics.fmean(numbers), float(published.value)
    near = abs(mean - goal) <= TOLERANCE * abs(goal)
    if near or (interval is not None and interval[0] <= goal <= interval[1]):
        return Verdict(REPRODUCED, metric, published, values, interval)
    ahead = mean > goal if is_higher_better(metric) else mean < goal
    return Verdict(BETTER if ahead else NOT_REPRODUCED, metric, published, values, interval)


def judged_metric(row: Row) -> str:
    """The published number of a row that is judged: the first on test, or else the first."""
    return next((path for path in row.published if "test" in path.split(".")), next(iter(row.published)))


def distance(mean: float, goal: float) -> str:
    """How far a mean lies from a number: in percent of it, or as a factor where that is plainer."""
    if goal == 0:
        return f"{mean:+.2g}"
    ratio = mean / goal
    if ratio >= 2 or 0 <= ratio <= 0.5:
        return f"×{ratio:.2g}"
    return f"{100 * (ratio - 1):+.1f} %"


def intervals(rows: list[Row], verdicts: list[Verdict | None]) -> str:
    """The line below a table on the intervals of its judged means; empty where there are none."""
    judged = [(row, verdict) for row, verdict in zip(rows, verdicts, strict=True) if verdict and verdict.interval]
    texts = [
        f"{row.heading()}: {verdict.interval[0]:.4g} to {verdict.interval[1]:.4g}"
        for row, verdict in judged
        if verdict.interval
    ]
    return f"95 % intervals of the mean over seeds: {'; '.join(texts)}." if texts else ""
