"""What the runs of a row measured, by a column's path, and the text of a cell with it."""

from __future__ import annotations

import statistics

from seqbench.errors import UserError
from seqbench.report.declaration import Column, Row
from seqbench.report.evaluations import differing, fits
from seqbench.report.record import COUNTS, DATA_SPLITS, SPLITS, Record

MISSING = "\N{EN DASH}"  # nothing measured; a published number that nobody gave is left blank instead


def measured(column: Column, row: Row, records: list[Record]) -> dict[int, float]:
    """Seed -> number, under `column.metric`, for the records that have one. Raises `UserError` if the column's settings
    leave open which evaluation of a record is meant, or would pool evaluations of unlike settings."""
    path = column.metric
    assert path is not None
    if not is_found_later(path):
        numbers = {record.seed: record.values().get(path) for record in records}
        return {seed: number for seed, number in numbers.items() if number is not None}
    found = [(record.seed, *pair) for record in records for pair in record.found_later(path)]
    found = [(seed, entry, number) for seed, entry, number in found if fits(entry, column.settings)]
    for _, entry, _ in found[1:]:
        first = found[0][1]
        for key in differing(first, entry):
            raise UserError(
                f"The runs of the row {row.label!r} have {path.partition('.')[0]} with {key}={first['settings'][key]} "
                f"and {key}={entry['settings'][key]}: the column {column.heading!r} must say which, as "
                f"settings: {{{key}: ...}}."
            )
    return {seed: number for seed, _, number in found if number is not None}


def is_found_later(path: str) -> bool:
    """Whether a column's path leads into what `eval` or `analyze` has written: every other head has a name of its
    own."""
    return path.partition(".")[0] not in (*SPLITS, *COUNTS, "parameters")


def cell_text(column: Column, row: Row, records: list[Record]) -> str:
    """Mean ± sample standard deviation over seeds, and their number; one seed has no deviation.

    What is no measurement (a parameter count, a baseline) and the same in all records stands alone.
    """
    numbers = list(measured(column, row, records).values())
    assert column.metric is not None
    if not set(DATA_SPLITS).intersection(column.metric.split(".")) and len(set(numbers)) == 1:
        return format(numbers[0], column.format)
    return mean_text(numbers, column.format)


def mean_text(numbers: list[float], specification: str) -> str:
    """`8.39 ± 0.01 (n=3)`."""
    if not numbers:
        return MISSING
    mean = format(statistics.fmean(numbers), specification)
    if len(numbers) == 1:
        return f"{mean} (n=1)"
    spread = ".2g" if specification.endswith("g") else specification  # of whose digits two say something
    return f"{mean} ± {format(statistics.stdev(numbers), spread)} (n={len(numbers)})"
