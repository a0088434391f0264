"""A corpus's text as numbers of its pieces, in files with which another process goes on if this one is killed.

<folder>/<split>.numbers     the numbers of the split's pieces in order, uint32
         pieces              the pieces by number, one JSON string a line
         state.json          how much of those files is whole, and of which text: replaced every few seconds

Going on means: the files are cut to what the state says; the text that they stand for is read again, for its checksum
alone; and the rest is encoded as if nothing had happened. A text that is not the one of the state, or files that are
not as it says, are begun anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np

from seqbench.data.errors import DataError
from seqbench.data.files.atomic import flush, save
from seqbench.data.files.lock import Progress
from seqbench.data.text.corpus import SPLITS, Corpus
from seqbench.data.text.source import Text
from seqbench.data.text.tokenizer import WORD, Numbering

PAUSE = 5.0  # seconds from one saved state, and word of progress, to the next
_STATE, _PIECES = "state.json", "pieces"
_BLOCK = 1 << 18  # numbers read at a time
_N_BYTES = 4  # of a number


@dataclass
class Entry:
    """What is known of a split, or of as much of it as has been encoded."""

    n_tokens: int = 0
    n_lines: int = 0
    n_words: int = 0  # between blanks, without <eos>: what a word perplexity divides by, <eos> apart
    n_characters: int = 0  # without line ends
    n_bytes: int = 0  # of the content
    source_sha256: str = hashlib.sha256().hexdigest()


class _AnotherText(Exception):
    """The text does not begin as the saved state says."""


def numbers(folder: Path, split: str) -> Iterator[np.ndarray]:
    """The numbers of a split's pieces, in blocks."""
    with _numbers(folder, split).open("rb") as file:
        while len(block := np.fromfile(file, np.uint32, _BLOCK)):
            yield block


def encode(
    corpus: Corpus, texts: dict[str, Text], folder: Path, progress: Progress
) -> tuple[Numbering, dict[str, Entry]]:
    """Write the numbers of all splits to `folder`, going on from what lies there.

    Returns the numbering and what each split turned out to be. Raises `DataError` for a split that is not the corpus's.
    """
    try:
        return _Encoder(corpus, folder, progress).encode(texts)
    except _AnotherText:
        progress(f"{corpus.name}: what an interrupted preparation left is of another text and is made anew")
        shutil.rmtree(folder)
        return _Encoder(corpus, folder, progress).encode(texts)


class _Encoder:
    """The numbering and entries so far, and the writing of the state."""

    def __init__(self, corpus: Corpus, folder: Path, progress: Progress):
        self.corpus, self.folder, self.progress = corpus, folder, progress
        self.numbering, self.entries = Numbering(), {split: Entry() for split in SPLITS}
        self.n_saved, self.n_bytes = 0, 0  # pieces in their file, and its length
        folder.mkdir(exist_ok=True)
        if (folder / _STATE).exists():  # else nothing was left, or it was killed before it saved anything
            try:
                self._load()
            except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
                progress(f"{corpus.name}: what an interrupted preparation left is damaged and is made anew")
                (folder / _STATE).unlink()  # it does not fit what is written now
        for split, entry in self.entries.items():
            _cut(_numbers(folder, split), entry.n_tokens * _N_BYTES)
        _cut(folder / _PIECES, self.n_bytes)

    def encode(self, texts: dict[str, Text]) -> tuple[Numbering, dict[str, Entry]]:
        if self._n_tokens():
            self.progress(f"{self.corpus.name}: going on at {self._n_tokens():,} tokens")
        for split in SPLITS:
            self.progress(f"{self.corpus.name}: reading {texts[split].where}")
            self._encode(split, texts[split])
            _check(self.corpus, split, texts[split].where, self.entries[split])
        return self.numbering, self.entries

    def _encode(self, split: str, text: Text) -> None:
        entry, blocks = self.entries[split], text.blocks()
        digest = _skipped(blocks, entry)
        saved, n_before = time.monotonic(), self._n_tokens()
        with _numbers(self.folder, split).open("ab") as file:
            for block in blocks:
                digest.update(block)
                self._add(block, entry, file)
                if (seconds := time.monotonic() - saved) >= PAUSE:
                    entry.source_sha256 = digest.hexdigest()
                    flush(file)
                    self._save()
                    self._report(split, (self._n_tokens() - n_before) / seconds)
                    saved, n_before = time.monotonic(), self._n_tokens()
        entry.source_sha256 = digest.hexdigest()

    def _add(self, block: bytes, entry: Entry, file: BinaryIO) -> None:
        tokenizer = self.corpus.tokenizer
        text, n_lines = block.decode(tokenizer.encoding), block.count(b"\n")
        pieces = tokenizer.split(text)  # a local name, so that they are gone before the next block is cut
        file.write(self.numbering.encode(pieces).data)
        entry.n_tokens += len(pieces)
        entry.n_lines += n_lines
        blanked = text if tokenizer.encoding == "utf-8" else block  # white space of Unicode, where there are characters
        entry.n_words += len(pieces) - n_lines if tokenizer is WORD else len(blanked.split())
        entry.n_characters += len(text) - n_lines
        entry.n_bytes += len(block)

    def _save(self) -> None:
        with (self.folder / _PIECES).open("ab") as file:
            file.writelines(f"{json.dumps(piece)}\n".encode() for piece in islice(self.numbering, self.n_saved, None))
            flush(file)
            self.n_saved, self.n_bytes = len(self.numbering), file.tell()
        state = {
            "corpus": _identity(self.corpus),
            "n_pieces": self.n_saved,
            "n_bytes": self.n_bytes,
            "splits": {split: asdict(entry) for split, entry in self.entries.items()},
        }
        partial = self.folder / f"{_STATE}.partial"
        save(partial, json.dumps(state))
        os.replace(partial, self.folder / _STATE)

    def _load(self) -> None:
        state = json.loads((self.folder / _STATE).read_bytes())
        if state["corpus"] != _identity(self.corpus):
            raise ValueError("the state of another corpus")
        with (self.folder / _PIECES).open("rb") as file:
            pieces = [json.loads(line) for line in file.read(state["n_bytes"]).splitlines()]
        entries = {split: Entry(**state["splits"][split]) for split in SPLITS}
        counts = [state["n_bytes"], *(entry.n_tokens for entry in entries.values())]
        if any(type(count) is not int or count < 0 for count in counts):
            raise ValueError("a count that is none")
        sizes = {_numbers(self.folder, split): entry.n_tokens * _N_BYTES for split, entry in entries.items()}
        if any(path.stat().st_size < size for path, size in sizes.items()):
            raise ValueError("files shorter than the state says")
        if len(set(pieces)) != len(pieces) or len(pieces) != state["n_pieces"]:
            raise ValueError("other pieces than the state says")
        self.numbering, self.entries = Numbering({piece: number for number, piece in enumerate(pieces)}), entries
        self.n_saved, self.n_bytes = state["n_pieces"], state["n_bytes"]

    def _n_tokens(self) -> int:
        return sum(entry.n_tokens for entry in self.entries.values())

    def _report(self, split: str, rate: float) -> None:
        n_tokens, expected = self._n_tokens(), [split.n_tokens for split in self.corpus.splits.values()]
        total = None if None in expected else sum(filter(None, expected))
        share = (
            f"{100 * n_tokens / total:.0f} % ({n_tokens:,} of {total:,} tokens)" if total else f"{n_tokens:,} tokens"
        )
        self.progress(f"{self.corpus.name}: {split}, {share}, {rate / 1e6:.1f} million tokens a second")


def _identity(corpus: Corpus) -> list[object]:
    return [corpus.name, corpus.version, corpus.tokenizer.name]


def _numbers(folder: Path, split: str) -> Path:
    return folder / f"{split}.numbers"


def _cut(path: Path, n_bytes: int) -> None:
    with path.open("ab") as file:
        file.truncate(n_bytes)


def _skipped(blocks: Iterator[bytes], entry: Entry):
    """The checksum's state after the blocks that the entry stands for, which are taken off `blocks`."""
    digest, n_bytes = hashlib.sha256(), 0
    while n_bytes < entry.n_bytes and (block := next(blocks, None)) is not None:
        digest.update(block)
        n_bytes += len(block)
    if (n_bytes, digest.hexdigest()) != (entry.n_bytes, entry.source_sha256):
        raise _AnotherText
    return digest


def _check(corpus: Corpus, split: str, where: str, entry: Entry) -> None:
    expected = corpus.splits[split]
    if expected.n_lines not in (None, entry.n_lines):
        difference = f"it has {entry.n_lines:,} lines where {expected.n_lines:,} are expected"
    elif expected.sha256 not in (None, entry.source_sha256):
        difference = (
            f"its {entry.n_lines:,} lines differ somewhere (SHA-256 of the stripped lines "
            f"{entry.source_sha256[:12]}..., expected {expected.sha256[:12]}...)"
        )
    elif expected.n_tokens not in (None, entry.n_tokens):
        difference = f"it has {entry.n_tokens:,} tokens where {expected.n_tokens:,} are expected"
    else:
        return
    raise wrong(corpus, split, where, difference)


def wrong(corpus: Corpus, split: str, where: str, difference: str) -> DataError:
    """The error that a text is not a corpus's."""
    return DataError(
        f"{where} is not the {split} split of {corpus.title}: {difference}; name a folder with the published files as "
        "source=<folder>."
    )
