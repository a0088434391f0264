"""The columns of a CSV file as numbers: a row is a time, a column one series.

The first line names the columns; where all of it is numbers there are no names, and the columns are called 1, 2, ...
Commas, semicolons or tabs separate, whichever the first line has most of. A column that begins with something else than
a number, such as the date, is left out unless it is asked for.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqbench.data.errors import DataError
from seqbench.data.text.own.files import content
from seqbench.errors import did_you_mean

_SEPARATORS = (",", ";", "\t")


@dataclass(frozen=True)
class Table:
    """`values` is (n_rows, n_columns) float64, `columns` their names, `left_out` those of the other columns."""

    columns: list[str]
    values: np.ndarray
    left_out: list[str]


def read_table(path: Path, columns: Sequence[str] | None) -> Table:
    """The columns that are named, in that order; None: all that hold numbers. Raises `DataError` that names the line
    and the column of what is no finite number."""
    lines = _lines(path)
    first = next(lines, "")
    separator = max(_SEPARATORS, key=first.count)
    cells = _cells(first, separator)
    has_names = not all(map(_is_number, cells))
    names = [cell.strip() for cell in cells] if has_names else [str(1 + i) for i in range(len(cells))]
    rows = enumerate(lines, start=2) if has_names else enumerate(_and_then(first, lines), start=1)
    filled = ((number, _cells(line, separator)) for number, line in rows if line.strip())
    number, row = next(filled, (2, []))
    if not row:
        raise DataError(f"{path} has no row of numbers.")
    places = _places(path, names, row, columns)
    values = [_numbers(path, number, row, names, places)]
    values += [_numbers(path, number, row, names, places) for number, row in filled]
    chosen = [names[place] for place in places]
    left_out = [name for place, name in enumerate(names) if place not in places and columns is None]
    return Table(chosen, np.array(values, np.float64), left_out)


def _lines(path: Path) -> Iterator[str]:
    for block in content((path,)):
        yield from block.decode().split("\n")[:-1]


def _and_then(first: str, lines: Iterator[str]) -> Iterator[str]:
    yield first
    yield from lines


def _cells(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def _places(path: Path, names: list[str], row: list[str], columns: Sequence[str] | None) -> list[int]:
    if columns is None:
        places = [place for place, cell in enumerate(row[: len(names)]) if _is_number(cell)]
        if not places:
            raise DataError(f"{path} has no column that begins with a number; its columns are {', '.join(names)}.")
        return places
    for column in columns:
        if names.count(column) != 1:
            how_many = "no" if column not in names else "more than one"
            raise DataError(f"{path} has {how_many} column {column!r}{did_you_mean(column, names)}.")
    return [names.index(column) for column in columns]


def _numbers(path: Path, number: int, row: list[str], names: list[str], places: list[int]) -> list[float]:
    if len(row) != len(names):
        raise DataError(f"line {number:,} of {path} has {len(row)} cells where the first line has {len(names)}.")
    for place in places:
        if not _is_number(row[place]):
            raise DataError(
                f"line {number:,} of {path} has {row[place]!r} in the column {names[place]!r}, which is no number; "
                "fill it in, or name the columns to use as task.columns=[...]."
            )
    return [float(row[place]) for place in places]


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
