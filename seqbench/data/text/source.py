"""Where the raw text of a corpus comes from: a folder, or the hub."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from seqbench.data.errors import DataError
from seqbench.data.files.hub import hub_files, obstacle
from seqbench.data.files.lines import SUFFIXES, read_lines
from seqbench.data.files.lock import Progress
from seqbench.data.text.corpus import SPLITS, Corpus
from seqbench.data.text.cut import cut_names, read_cut

HUB = "hub"


@dataclass(frozen=True)
class Text:
    """One split's text, and what to call its place in a message.

    `blocks` begins to read it anew: blocks of bytes that make up the content of which a corpus pins the checksum, the
    same blocks each time.
    """

    where: str
    blocks: Callable[[], Iterator[bytes]]


def find(corpus: Corpus, data_dir: Path, source: str | None, progress: Progress) -> dict[str, Text]:
    """The text of each split, from where `source` says.

    `source` is a folder, "hub", or None for a copy in `data_dir`, else the hub. Answers within three seconds when there
    is no network. Raises `DataError` that says which files to put where.
    """
    if source == HUB:
        return _hub(corpus, data_dir, progress)
    if source is not None:
        return _named(corpus, Path(source).expanduser())
    return find_near(corpus, data_dir) or _hub(corpus, data_dir, progress)


def find_near(corpus: Corpus, data_dir: Path) -> dict[str, Text] | None:
    """The text of each split in a copy in `data_dir`; None where there is no copy."""
    raw = data_dir / "raw"
    folders = [*(raw / name for name in (corpus.name, *corpus.folders)), *(data_dir / name for name in corpus.folders)]
    return _local(corpus, [*folders, data_dir])


def _named(corpus: Corpus, folder: Path) -> dict[str, Text]:
    """The text in a folder that the user names, or in a file that holds all splits."""
    if not os.path.lexists(folder):
        raise DataError(f"source={folder} does not exist; name a folder that holds {_files(corpus)}.")
    if corpus.file and folder.name in cut_names(corpus.file) and folder.is_file():
        return _cut(corpus, folder)
    if not os.path.isdir(folder):
        raise DataError(f"source={folder} is not a folder; name the folder that holds {_files(corpus)}.")
    texts = _local(corpus, [folder, *(folder / name for name in corpus.folders)])
    if texts is None:
        others = "" if corpus.file else " (or .gz, .parquet, .jsonl files so named)"
        raise DataError(f"{folder} holds no file of {corpus.title}; it should hold {_files(corpus)}{others}.")
    return texts


def _local(corpus: Corpus, folders: list[Path]) -> dict[str, Text] | None:
    """The text in the first folder that has a file of the corpus; it must then have one for each split."""
    for folder in folders:
        if not os.path.isdir(folder):
            continue
        try:
            texts = _whole(corpus, folder) if corpus.file else _splits(corpus, folder)
        except OSError as error:
            raise DataError(f"{folder} cannot be read: {error.strerror or error}.") from error
        if texts is not None:
            return texts
    return None


def _whole(corpus: Corpus, folder: Path) -> dict[str, Text] | None:
    present = os.listdir(folder)
    names = [name for name in cut_names(str(corpus.file)) if name in present and (folder / name).is_file()]
    return _cut(corpus, folder / names[0]) if names else None


def _cut(corpus: Corpus, path: Path) -> dict[str, Text]:
    return {split: Text(str(path), partial(read_cut, corpus, path, split)) for split in SPLITS}


def _splits(corpus: Corpus, folder: Path) -> dict[str, Text] | None:
    files = {split: _split_files(corpus, folder, split) for split in SPLITS}
    present = [paths[0].name for paths in files.values() if paths]
    if not present:
        return None
    for split in SPLITS:
        if not files[split]:
            names = ", ".join(f"{stem}{corpus.suffix}" for stem in corpus.splits[split].stems)
            raise DataError(
                f"{folder} has {present[0]} but nothing for the {split} split; add one of {names} "
                "(or .gz, .parquet, .jsonl)."
            )
    return {split: _lines(files[split]) for split in SPLITS}


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


def _lines(paths: list[Path], where: str | None = None) -> Text:
    where = where or str(paths[0])
    return Text(where, lambda: _content(where, paths))


def _content(where: str, paths: list[Path]) -> Iterator[bytes]:
    for lines in read_lines(paths):
        try:
            yield ("\n".join(lines) + "\n").encode()
        except UnicodeEncodeError as error:  # JSON can spell what UTF-8 cannot
            raise DataError(
                f"{where} spells half a character, {error.object[error.start]!a}; fetch it again."
            ) from error


def _hub(corpus: Corpus, data_dir: Path, progress: Progress) -> dict[str, Text]:
    if corpus.hub is None:
        raise DataError(
            f"{corpus.title} is not at hand, and no place on the hub is known to fetch it from; put {_files(corpus)} "
            f"into {data_dir / corpus.folders[0]}, or name its folder as source=<folder>."
        )
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
    return {split: _lines(paths, f"{where} ({split})") for split, paths in hub_files(corpus, corpus.hub).items()}


def _files(corpus: Corpus) -> str:
    if corpus.file:
        names = cut_names(corpus.file)
        return f"{', '.join(names[:-1])} or {names[-1]}"
    names = [f"{corpus.splits[split].stems[0]}{corpus.suffix}" for split in SPLITS]
    return f"{', '.join(names[:-1])} and {names[-1]}"
