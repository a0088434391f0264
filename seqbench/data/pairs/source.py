"""Parallel text: what a corpus of sentence pairs is, where its files are found, and its pairs in blocks.

Line i of one file is the translation of line i of the other. A line ends at a newline and nowhere else. A line that is
not UTF-8 comes as None, to be counted by whoever reads.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from seqbench.data.errors import DataError
from seqbench.data.files.blocks import line_blocks
from seqbench.data.files.hub import obstacle
from seqbench.data.files.lock import Progress
from seqbench.data.pairs.rows import Block, ParallelHub, hub_pairs, parquet_pairs
from seqbench.data.text.corpus import SPLITS
from seqbench.data.text.source import HUB

_PAIRS = 10_000  # pairs of a block
_SIDES = ("src", "tgt")


@dataclass(frozen=True)
class ParallelCorpus:
    """A corpus of sentence pairs. `name` is also the task's name on the command line.

    `files` are the names that a split's files may have, {language} and {side} (src, tgt) to be filled in; each may end
    in .gz. A name with neither is that of a table: a pair on each line, a tab between its sides. `n_pairs` are those of
    the published splits, where they are agreed on. `version` goes up when the pairs change. `folders` are names of
    folders that a copy may lie in. `text` tells apart the texts that have one name.
    """

    name: str
    title: str
    version: int
    languages: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]]
    n_pairs: Mapping[str, int]
    folders: tuple[str, ...]
    hub: ParallelHub | None
    notice: str
    text: str = ""


@dataclass(frozen=True)
class PairText:
    """One split: what to call its place in a message, and its pairs in blocks, from the start at each call."""

    where: str
    blocks: Callable[[], Iterator[Block]]


def check_languages(corpus: ParallelCorpus, languages: tuple[str, str]) -> None:
    """Raises `DataError` for a language that the corpus lacks."""
    for language in languages:
        if language not in corpus.languages:
            raise DataError(f"{corpus.title} has the languages {' and '.join(corpus.languages)}, not {language!r}.")
    if languages[0] == languages[1]:
        raise DataError(
            f"{corpus.title} is translated from one language into another, not from {languages[0]} into it."
        )


def find_pairs(
    corpus: ParallelCorpus, languages: tuple[str, str], data_dir: Path, source: str | None, progress: Progress
) -> dict[str, PairText]:
    """The pairs of each split, from where `source` says.

    `source` is a folder, "hub", or None for a copy in `data_dir`, else the hub. Raises `DataError` that says which
    files to put where.
    """
    if source == HUB:
        return _hub(corpus, languages, data_dir, progress)
    if source is not None:
        folder = Path(source).expanduser()
        if not os.path.isdir(folder):
            raise DataError(f"source={folder} is not a folder; name the folder that holds {_names(corpus, languages)}.")
        texts = _local(corpus, languages, [folder, *(folder / name for name in corpus.folders)])
        if texts is None:
            raise DataError(f"{folder} holds no file of {corpus.title}; it should hold {_names(corpus, languages)}.")
        return texts
    return find_near_pairs(corpus, languages, data_dir) or _hub(corpus, languages, data_dir, progress)


def find_near_pairs(corpus: ParallelCorpus, languages: tuple[str, str], data_dir: Path) -> dict[str, PairText] | None:
    """The pairs of each split in a copy in `data_dir`; None where there is no copy."""
    places = [root / name for root in (data_dir / "raw", data_dir) for name in corpus.folders]
    return _local(corpus, languages, places)


def _local(corpus: ParallelCorpus, languages: tuple[str, str], folders: list[Path]) -> dict[str, PairText] | None:
    """The pairs in the first folder that has a file of the corpus; it must then have every split, both sides."""
    for folder in folders:
        try:
            names = set(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise DataError(f"{folder} cannot be read: {error.strerror or error}.") from error
        present = {split: _split(corpus, languages, folder, names, split) for split in SPLITS}
        if not any(present.values()):
            continue
        texts = {split: text for split, text in present.items() if text is not None}
        for split in SPLITS:
            if split not in texts:
                source, target = (corpus.files[split][0].format(language=name, side="") for name in languages)
                raise DataError(f"{folder} has nothing for the {split} split; add {source} and {target} (or .gz).")
        return texts
    return None


def _split(
    corpus: ParallelCorpus, languages: tuple[str, str], folder: Path, names: set[str], split: str
) -> PairText | None:
    for pattern in corpus.files[split]:
        plain = [pattern.format(language=language, side=side) for language, side in zip(languages, _SIDES, strict=True)]
        present = [next((file for file in (name, f"{name}.gz") if file in names), None) for name in plain]
        if plain[0] == plain[1] and present[0] is not None:
            return PairText(str(folder / present[0]), partial(_table, folder / present[0]))
        if present[0] is not None and present[1] is not None:
            paths = (folder / present[0], folder / present[1])
            return PairText(str(paths[0]), partial(_blocks, *paths))
        for index in (0, 1):
            if present[index] is not None:
                raise DataError(f"{folder} has {present[index]} but not {plain[1 - index]} (or .gz), its other side.")
    stems = {"train": ("train",), "valid": ("validation", "valid"), "test": ("test",)}[split]
    shards = sorted(name for name in names if name.endswith(".parquet") and name.startswith(stems))
    if shards:
        rows = [folder / name for name in shards]
        return PairText(str(rows[0]), partial(parquet_pairs, rows, languages))
    return None


def _blocks(source: Path, target: Path) -> Iterator[Block]:
    """Pairs of two files read side by side. Raises `DataError` unless they have equally many lines."""
    end = object()
    pairs = itertools.zip_longest(_lines(source), _lines(target), fillvalue=end)
    n_pairs = 0
    while block := list(itertools.islice(pairs, _PAIRS)):
        if block[-1][0] is end or block[-1][1] is end:
            n_common = n_pairs + sum(line is not end and other is not end for line, other in block)
            short, long = (source, target) if block[-1][0] is end else (target, source)
            n_more = n_pairs + len(block) - n_common + sum(1 for _ in pairs)
            raise DataError(
                f"{short} has {n_common:,} lines and {long} {n_common + n_more:,}: they are not parallel; "
                "fetch them again."
            )
        n_pairs += len(block)
        yield block  # type: ignore[misc]


def _table(path: Path) -> Iterator[Block]:
    """Pairs of a file with a tab on each line. Raises `DataError` for a line with another number of them."""
    n_lines = 0
    for block in line_blocks(path):
        pairs: Block = []
        for line in block.split(b"\n"):
            n_lines += 1
            sides = line.split(b"\t")
            if len(sides) != 2:
                raise DataError(
                    f"line {n_lines:,} of {path} has {len(sides) - 1} tabs; a pair has one, between source and target."
                )
            pairs.append((_decoded(sides[0]), _decoded(sides[1])))
        yield pairs


def _lines(path: Path) -> Iterator[str | None]:
    """The stripped lines of a file."""
    for block in line_blocks(path):
        yield from map(_decoded, block.split(b"\n"))


def _decoded(line: bytes) -> str | None:
    try:
        return line.decode().strip()
    except UnicodeDecodeError:
        return None


def _hub(corpus: ParallelCorpus, languages: tuple[str, str], data_dir: Path, progress: Progress) -> dict[str, PairText]:
    if not corpus.folders:  # text of one's own, which only its owner can name
        raise DataError(f"The text of this run is not prepared in {data_dir}; name its folder as source=<folder>.")
    reason = "it is on no hub" if corpus.hub is None else obstacle()
    if corpus.hub is None or reason is not None:
        raise DataError(
            f"{corpus.title} is not at hand and cannot be fetched, because {reason}; put {_names(corpus, languages)} "
            f"into {data_dir / corpus.folders[0]}, or name their folder as source=<folder>."
        )
    progress(f"{corpus.name}: fetching {corpus.hub.repository} from the hub; {corpus.notice}")
    tables = hub_pairs(corpus.hub, corpus.title, languages)
    return {split: PairText(f"hub:{corpus.hub.repository} ({split})", tables[split]) for split in SPLITS}


def _names(corpus: ParallelCorpus, languages: tuple[str, str]) -> str:
    names = [corpus.files[split][0].format(language=name, side="") for split in SPLITS for name in languages]
    return f"{', '.join(names[:-1])} and {names[-1]} (or .gz)"
