"""Sentence pairs from parquet files with a column `translation` of one text a language, local or on the hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from seqbench.data.errors import DataError
from seqbench.data.files.hub import downloading
from seqbench.data.files.parquet import first_sentence, import_extra
from seqbench.data.text.corpus import SPLITS

Block = list[tuple["str | None", "str | None"]]  # (source, target); None: a line that is not UTF-8
_ROWS = 10_000
_BUFFER = 1 << 20  # bytes of a file read at a time
_COLUMN = "translation"


@dataclass(frozen=True)
class ParallelHub:
    """A dataset repository on the Hugging Face hub with a folder of parquet files for one pair of languages."""

    repository: str
    revision: str
    folder: str


def parquet_pairs(paths: list[Path], languages: tuple[str, str]) -> Iterator[Block]:
    """Blocks of pairs of local parquet files, in bounded memory whatever their row groups. Raises `DataError`."""
    parquet = import_extra("pyarrow.parquet", f"reading {paths[0]}")
    arrow = import_extra("pyarrow", f"reading {paths[0]}")
    for path in paths:
        try:
            with parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
                for rows in file.iter_batches(_ROWS, columns=[_COLUMN], use_threads=False):
                    column = rows.column(0)
                    sides = [[_text(line) for line in column.field(language).to_pylist()] for language in languages]
                    yield list(zip(*sides, strict=True))
        except (KeyError, IndexError) as error:
            raise DataError(
                f"{path} has no column {_COLUMN!r} with the languages {' and '.join(languages)}; its other side is "
                "missing or it is another data set."
            ) from error
        except (OSError, arrow.ArrowException) as error:
            raise DataError(f"{path} cannot be read as parquet: {first_sentence(error)}.") from error


def hub_pairs(hub: ParallelHub, title: str, languages: tuple[str, str]) -> dict[str, Callable[[], Iterator[Block]]]:
    """Each split's blocks, from files that `datasets` downloads into the hub's own cache. Raises `DataError`."""
    root = f"datasets/{hub.repository}@{hub.revision}/{hub.folder}"
    stems = {"train": "train", "valid": "validation", "test": "test"}
    with downloading(title, hub.repository) as datasets:
        from huggingface_hub import HfFileSystem

        system = HfFileSystem()
        names = {split: sorted(map(str, system.glob(f"{root}/{stems[split]}-*.parquet"))) for split in SPLITS}
        if not all(names.values()):
            raise FileNotFoundError(f"{root} lacks parquet files")
        urls = {split: [f"hf://{name}" for name in names[split]] for split in SPLITS}
        downloaded = datasets.DownloadManager().download(urls)
    return {split: partial(parquet_pairs, [Path(path) for path in downloaded[split]], languages) for split in SPLITS}


def _text(line: str | None) -> str:
    """One line: a row with a newline inside would be two lines in every file that is written from it."""
    return " ".join((line or "").split("\n")).strip()
