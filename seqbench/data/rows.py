"""The rows of parquet files as lines, read by Hugging Face `datasets`. A row is a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from seqbench.data.errors import DataError

COLUMNS = ("sentence", "text")  # the names under which the hub's corpora keep a line
_ROWS = 10_000


def import_datasets(purpose: str) -> ModuleType:
    """The `datasets` package. Raises `DataError` that says how to install it."""
    try:
        import datasets  # a second and a hundred modules: only where it is used
    except ImportError as error:
        raise DataError(f'{purpose} needs the package `datasets`: pip install "seqbench[hub]".') from error
    return datasets


def parquet_lines(paths: list[Path]) -> Iterator[list[str]]:
    """Blocks of stripped lines of local parquet files. Raises `DataError` for a file that cannot be read."""
    datasets = import_datasets(f"reading {paths[0]}")
    try:
        # streaming: rows come straight from the files, and no copy is left in the user's cache
        table = datasets.load_dataset(
            "parquet", data_files={"rows": [str(path) for path in paths]}, split="rows", streaming=True
        )
        yield from stripped(table.iter(batch_size=_ROWS), str(paths[0]))
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"{paths[0]} cannot be read as parquet: {first_sentence(error)}.") from error


def stripped(batches: Iterable[dict[str, list[str]]], where: str) -> Iterator[list[str]]:
    """Stripped lines of batches of rows. Raises `DataError` if no column is one of a text's usual names."""
    for batch in batches:
        column = next((name for name in COLUMNS if name in batch), None)
        if column is None or not all(isinstance(line, str) for line in batch[column]):
            raise DataError(
                f"{where} has no column of text named {' or '.join(repr(name) for name in COLUMNS)}; "
                f"its columns are {', '.join(batch)}."
            )
        yield [line.strip() for line in batch[column]]


def first_sentence(error: BaseException) -> str:
    """The first sentence of what an error says, without its full stop."""
    return (str(error) or type(error).__name__).strip().split("\n")[0].split(". ")[0].rstrip(".")
