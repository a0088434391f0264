"""The lines of raw files, in blocks of bounded size: text, JSON lines (either packed by gzip or not), parquet.

Every line comes stripped. It ends at a newline and nowhere else: not at the separators that `str.splitlines` knows
besides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from seqbench.data.errors import DataError
from seqbench.data.files.blocks import line_blocks
from seqbench.data.files.parquet import COLUMNS, parquet_lines

SUFFIXES = (".txt", ".tokens", ".parquet", ".jsonl", ".txt.gz", ".tokens.gz", ".jsonl.gz")


def read_lines(paths: list[Path]) -> Iterator[list[str]]:
    """Blocks of lines of one split's files, all of one suffix. Raises `DataError` for a file that cannot be read."""
    if paths[0].suffix == ".parquet":
        yield from parquet_lines(paths)
        return
    for path in paths:
        yield from _json_lines(path) if ".jsonl" in path.suffixes else _text_lines(path)


def _text_lines(path: Path) -> Iterator[list[str]]:
    first = 1  # line number of the block's first line
    for block in line_blocks(path):
        try:
            lines = block.decode().split("\n")
        except UnicodeDecodeError as error:
            line = first + block.count(b"\n", 0, error.start)
            raise DataError(f"{path} is not UTF-8 text (line {line:,}); save it as UTF-8 or fetch it again.") from error
        yield [line.strip() for line in lines]
        first += len(lines)


def _json_lines(path: Path) -> Iterator[list[str]]:
    first = 1
    for block in _text_lines(path):
        yield [_field(path, first + i, line) for i, line in enumerate(block)]
        first += len(block)


def _field(path: Path, number: int, line: str) -> str:
    try:
        row = json.loads(line)
        value = next(row[column] for column in COLUMNS if column in row)
        return value.strip()
    except (ValueError, TypeError, AttributeError, StopIteration) as error:
        raise DataError(
            f"line {number:,} of {path} is not a JSON object with a text under "
            f"{' or '.join(repr(column) for column in COLUMNS)}."
        ) from error
