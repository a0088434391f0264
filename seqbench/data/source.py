"""Where the raw text of a corpus comes from: a folder, or the hub."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from seqbench.data.corpus import SPLITS, Corpus
from seqbench.data.errors import DataError
from seqbench.data.hub import hub_lines, obstacle
from seqbench.data.lines import SUFFIXES, read_lines

HUB = "hub"

Progress = Callable[[str], None]  # told one line of text at a time


@dataclass(frozen=True)
class Text:
    """One split's lines in blocks, and what to call their place in a message."""

    where: str
    blocks: Iterator[list[str]]


def find(corpus: Corpus, data_dir: Path, source: str | None, progress: Progress) -> dict[str, Text]:
    """The text of each split: from the folder `source`, from the hub (`source` is "hub"), or, with None, from a copy
    in `data_dir` or else the hub.

    Answers within three seconds when there is no network. Raises `DataError` that says which files to put where.
    """
    if source == HUB:
        return _hub(corpus, data_dir, progress)
    if source is not None:
        return _given(corpus, Path(source).expanduser())
    raw = data_dir / "raw"
    folders = [*(raw / name for name in (corpus.name, *corpus.folders)), *(data_dir / name for name in corpus.folders)]
    return _local(corpus, [*folders, data_dir]) or _hub(corpus, data_dir, progress)


def _given(corpus: Corpus, folder: Path) -> dict[str, Text]:
    if not os.path.lexists(folder):
        raise DataError(f"source={folder} does not exist; name a folder that holds {_files(corpus)}.")
    if not os.path.isdir(folder):
        raise DataError(f"source={folder} is not a folder; name the folder that holds {_files(corpus)}.")
    found = _local(corpus, [folder, *(folder / name for name in corpus.folders)])
    if found is None:
        raise DataError(
            f"{folder} holds no file of {corpus.title}; it should hold {_files(corpus)} (or .parquet, .jsonl files "
            "so named)."
        )
    return found


def _local(corpus: Corpus, folders: list[Path]) -> dict[str, Text] | None:
    """The text in the first folder that has a file of the corpus; it must then have one for each split."""
    for folder in folders:
        if not os.path.isdir(folder):
            continue
        try:
            found = {split: _split_files(corpus, folder, split) for split in SPLITS}
        except OSError as error:
            raise DataError(f"{folder} cannot be read: {error.strerror or error}.") from error
        present = [paths[0].name for paths in found.values() if paths]
        if not present:
            continue
        for split in SPLITS:
            if not found[split]:
                names = ", ".join(f"{stem}.txt" for stem in corpus.splits[split].stems)
                raise DataError(
                    f"{folder} has {present[0]} but nothing for the {split} split; add one of {names} "
                    "(or .parquet, .jsonl)."
                )
        return {split: Text(str(paths[0]), read_lines(paths)) for split, paths in found.items()}
    return None


def _split_files(corpus: Corpus, folder: Path, split: str) -> list[Path]:
    """A split's files in a folder: one file, or the hub's parquet shards, beside it or in a folder of their own."""
    names = sorted(os.listdir(folder))  # raises where `glob` and `is_file` take a forbidden folder for an empty one
    stems = corpus.splits[split].stems
    for stem in stems:
        for suffix in SUFFIXES:
            if f"{stem}{suffix}" in names:
                return [folder / f"{stem}{suffix}"]
    for stem in stems:
        shards = [folder / name for name in names if name.startswith(f"{stem}-") and name.endswith(".parquet")]
        shards = shards or sorted((folder / stem).glob("*.parquet"))
        if shards:
            return shards
    return []


def _hub(corpus: Corpus, data_dir: Path, progress: Progress) -> dict[str, Text]:
    reason = obstacle()
    if reason is not None:
        folder = data_dir / corpus.folders[0]
        raise DataError(
            f"{corpus.title} is not at hand and cannot be fetched, because {reason}; put {_files(corpus)} into "
            f"{folder}, or name their folder as source=<folder>, or copy {data_dir / corpus.name} from a machine with "
            f"a network after `seqbench prepare task={corpus.name}` there."
        )
    progress(f"{corpus.name}: fetching {corpus.hub.repository} from the hub; {corpus.notice}")
    where = f"hub:{corpus.hub.repository}"
    return {split: Text(f"{where} ({split})", blocks) for split, blocks in hub_lines(corpus).items()}


def _files(corpus: Corpus) -> str:
    names = [f"{corpus.splits[split].stems[0]}.txt" for split in SPLITS]
    return f"{', '.join(names[:-1])} and {names[-1]}"
