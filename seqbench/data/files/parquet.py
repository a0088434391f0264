"""The rows of parquet files as lines, the way the hub's corpora come. A row is a line."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqbench.data.errors import DataError

COLUMNS = ("sentence", "text")  # the names under which the hub's corpora keep a line
_ROWS = 10_000
_BUFFER = 1 << 20  # bytes of a file read at a time


def import_extra(name: str, purpose: str) -> Any:
    """A package of the extra `hub`, imported where it is used, since it takes long.

    Raises `DataError` that says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise DataError(f'{purpose} needs the package `{package}`: pip install "seqbench[hub]".') from error


def parquet_lines(paths: list[Path]) -> Iterator[list[str]]:
    """Blocks of stripped lines of local parquet files, in bounded memory whatever their row groups.

    Raises `DataError` for a file that cannot be read.
    """
    for path in paths:
        yield from _rows(path, import_extra("pyarrow.parquet", f"reading {path}"))


def _rows(path: Path, parquet: Any) -> Iterator[list[str]]:
    arrow = import_extra("pyarrow", f"reading {path}")
    try:
        with parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
            schema = file.schema_arrow
            column = next((name for name in COLUMNS if name in schema.names), None)
            if column is None or schema.field(column).type not in (arrow.string(), arrow.large_string()):
                raise DataError(
                    f"{path} has no column of text named {' or '.join(repr(name) for name in COLUMNS)}; "
                    f"its columns are {', '.join(schema.names)}."
                )
            for batch in file.iter_batches(_ROWS, columns=[column], use_threads=False):
                lines = batch.column(0).to_pylist()
                if None in lines:
                    raise DataError(f"{path} has a row without text.")
                if lines:
                    yield [line.strip() for line in lines]
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"{path} cannot be read as parquet: {first_sentence(error)}.") from error


def first_sentence(error: BaseException) -> str:
    """The first sentence of what an error says, without its full stop."""
    return (str(error) or type(error).__name__).strip().split("\n")[0].split(". ")[0].rstrip(".")
