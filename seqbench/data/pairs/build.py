"""Preparing sentence pairs: subwords learnt from the training text, pairs cleaned, ids written.

The text is read twice, in blocks, so memory is bounded by the sample that the subwords are learnt from. Training pairs
that cannot serve are dropped and counted by reason; a pair of valid or test is never dropped: what is wrong with one is
an error. The set is built beside its place, under a lock, and its manifest moved in last.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from seqbench.data.errors import DataError, another_text
from seqbench.data.files.atomic import flush, publish, save
from seqbench.data.files.lock import Progress, once
from seqbench.data.files.manifest import MANIFEST, files_entry
from seqbench.data.pairs.rows import Block
from seqbench.data.pairs.source import PairText, ParallelCorpus, check_languages, find_near_pairs, find_pairs
from seqbench.data.pairs.store import (
    FORMAT,
    MODEL,
    SCORED,
    SIDES,
    Pairs,
    PairSettings,
    binary,
    file_names,
    offsets,
    open_pairs,
    place,
    text,
)
from seqbench.data.pairs.subword import NORMALISATION, Subwords, learn, surely_longer
from seqbench.data.text.corpus import SPLITS
from seqbench.data.text.source import HUB
from seqbench.data.text.store import DTYPES

_SAMPLE = 1 << 19  # pairs that the subwords are learnt from, at most: every k-th of the training text
_LONGEST = 4  # times max_pieces: the longest line of valid and test
_ESCAPES = ("&quot;", "&apos;", "@-@")  # what Moses's tokenizer leaves in a text


def ensure_pairs(
    corpus: ParallelCorpus,
    settings: PairSettings,
    data_dir: Path,
    source: str | None,
    force: bool = False,
    progress: Progress = lambda line: None,
) -> Pairs:
    """The prepared set in `data_dir`: opened if it is there (and not `force`), else prepared.

    It is prepared from `source`: a folder, "hub", or None for a copy in `data_dir`, else the hub. Raises `DataError`,
    also where a set is there and a folder is named that holds other text; then nothing new is left there.
    """
    check_languages(corpus, settings.languages)
    pairs = None if force else open_pairs(corpus, settings, data_dir)
    if pairs is not None:
        if source not in (None, HUB):
            texts = find_pairs(corpus, settings.languages, data_dir, source, progress)
            progress(f"{corpus.name}: holding {pairs.path} against {source}")
            _require_text(pairs, texts, source)
        return pairs
    path = place(corpus, settings, data_dir)

    def build() -> None:
        _build(corpus, settings, path, find_pairs(corpus, settings.languages, data_dir, source, progress), progress)

    return once(corpus.name, path, lambda: open_pairs(corpus, settings, data_dir), build, force, progress)


def are_at_hand(corpus: ParallelCorpus, settings: PairSettings, data_dir: Path, source: str | None) -> bool:
    """Whether the set that a run would read is in `data_dir`, or its text on this machine to prepare it from."""
    if source not in (None, HUB):
        return os.path.exists(Path(source).expanduser())
    if os.path.exists(place(corpus, settings, data_dir) / MANIFEST):
        return True
    return source is None and find_near_pairs(corpus, settings.languages, data_dir) is not None


def _require_text(pairs: Pairs, texts: dict[str, PairText], source: str) -> None:
    """Raise `DataError` unless a prepared set was made from these texts."""
    for split, text_of in texts.items():
        if text_sha256(text_of) != pairs.manifest["splits"][split]["text_sha256"]:
            raise another_text(pairs.path, split, source)


def text_sha256(text_of: PairText) -> str:
    """The checksum of a split's text, however it lies in files."""
    digest = hashlib.sha256()
    for block in text_of.blocks():
        _add_text(digest, block)
    return digest.hexdigest()


def _add_text(digest: Any, block: Block) -> None:
    for pair in block:
        for line in pair:
            digest.update(f"{line}\n".encode("utf-8", "surrogatepass"))


def _build(
    corpus: ParallelCorpus, settings: PairSettings, path: Path, texts: dict[str, PairText], progress: Progress
) -> None:
    building = path.with_name(f".{path.name}.building")
    shutil.rmtree(building, ignore_errors=True)  # left by a process that was killed; the lock says that it is gone
    try:
        building.mkdir()
        progress(f"{corpus.name}: learning {settings.vocabulary_size:,} {settings.subword} pieces")
        save(building / MODEL, _learn(corpus, settings, texts["train"]))
        subwords = Subwords(building / MODEL)
        dtype = "uint16" if len(subwords) <= 1 << 16 else "uint32"
        splits = {}
        for split in SPLITS:
            progress(f"{corpus.name}: reading {texts[split].where}")
            splits[split] = _Writer(building, split, dtype, settings, subwords).write(texts[split])
        manifest = {
            "format": FORMAT,
            "corpus": corpus.name,
            "version": corpus.version,
            "settings": settings.stated(),
            "normalisation": NORMALISATION,
            "dtype": dtype,
            "splits": splits,
            "files": files_entry(building, file_names()),
        }
        save(building / MANIFEST, json.dumps(manifest, indent=2) + "\n")
        publish(building, path, file_names(), MANIFEST)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _learn(corpus: ParallelCorpus, settings: PairSettings, train: PairText) -> bytes:
    """The subword model of every k-th usable training pair, k the least power of two that keeps the sample small."""
    sample: list[tuple[str, str]] = []
    every, n_usable, n_escaped = 1, 0, 0
    for block in train.blocks():
        for source, target in block:
            if source and target and not any(surely_longer(line, settings.max_pieces) for line in (source, target)):
                n_escaped += any(escape in source or escape in target for escape in _ESCAPES)
                if n_usable % every == 0:
                    sample.append((source, target))
                n_usable += 1
                if len(sample) > _SAMPLE:
                    sample, every = sample[::2], 2 * every
    if not sample:
        raise DataError(f"{train.where} has no pair of two lines to train on.")
    if not settings.tokenized and n_escaped > n_usable / 50:
        raise DataError(
            f"{n_escaped:,} of {n_usable:,} pairs of {train.where} have marks of Moses's tokenizer "
            f"({', '.join(_ESCAPES)}): BLEU on such text is another number; say task.tokenized=true, or give the raw "
            f"text of {corpus.title}."
        )
    return learn((line for pair in sample for line in pair), settings.vocabulary_size, settings.subword)


class _Writer:
    """Writes one split's ids, and its text where it will be scored. `write` gives its entry in the manifest."""

    def __init__(self, folder: Path, split: str, dtype: str, settings: PairSettings, subwords: Subwords):
        self.folder, self.split, self.dtype = folder, split, DTYPES[dtype]
        self.settings, self.subwords = settings, subwords
        self.scored = split in SCORED
        self.skipped: dict[str, int] = dict.fromkeys(("empty", "invalid_utf8", "long", "ratio"), 0)
        self.n_read = 0
        self.digest = hashlib.sha256()

    def write(self, text_of: PairText) -> dict[str, Any]:
        lengths: dict[str, list[np.ndarray]] = {side: [] for side in SIDES}
        files = {side: (self.folder / binary(self.split, side)).open("wb") for side in SIDES}
        lines = {side: (self.folder / text(self.split, side)).open("wb") for side in SIDES if self.scored}
        try:
            for block in text_of.blocks():
                _add_text(self.digest, block)
                usable = list(self._usable(block, text_of.where))
                ids = [self.subwords.encode([pair[side] for pair in usable]) for side in (0, 1)]
                sizes = zip(map(len, ids[0]), map(len, ids[1]), strict=True)
                fits = [self._fits(source, target, text_of.where, i) for i, (source, target) in enumerate(sizes)]
                self.n_read += len(block)
                for index, side in enumerate(SIDES):
                    sequences = list(itertools.compress(ids[index], fits))
                    lengths[side].append(np.fromiter(map(len, sequences), np.int64, len(sequences)))
                    n_ids = int(lengths[side][-1].sum())
                    flat = np.fromiter(itertools.chain.from_iterable(sequences), self.dtype, n_ids)
                    files[side].write(flat.data)
                    if self.scored:
                        lines[side].write("".join(f"{pair[index]}\n" for pair in usable).encode())
        finally:
            for file in (*files.values(), *lines.values()):
                flush(file)
                file.close()
        whole = {side: np.concatenate([np.zeros(1, np.int64), *lengths[side]]).cumsum() for side in SIDES}
        for side in SIDES:
            save(self.folder / offsets(self.split, side), whole[side].astype("<i8").tobytes())
        n_pairs = len(whole["source"]) - 1
        if n_pairs == 0:
            raise DataError(f"{text_of.where} has no pair that can be used; {self._why()}.")
        counts = {f"n_{side}": int(whole[side][-1]) for side in SIDES}
        return {
            "n_read": self.n_read,
            "n_pairs": n_pairs,
            "skipped": self.skipped,
            **counts,
            "text_sha256": self.digest.hexdigest(),
        }

    def _usable(self, block: Block, where: str) -> Iterator[tuple[str, str]]:
        """The pairs of a block that can be cut into pieces."""
        limit = self.settings.max_pieces
        for index, (source, target) in enumerate(block):
            if source is None or target is None:
                self._refuse("invalid_utf8", where, index, "is not UTF-8 text; save it as UTF-8 or fetch it again")
            elif self.scored:
                yield source, target  # an empty line too: it is translated as it is
            elif not source or not target:
                self.skipped["empty"] += 1
            elif any(surely_longer(line, limit) for line in (source, target)):
                self.skipped["long"] += 1
            else:
                yield source, target

    def _fits(self, n_source: int, n_target: int, where: str, index: int) -> bool:
        limit, ratio = self.settings.max_pieces, self.settings.max_ratio
        if self.scored:
            if max(n_source, n_target) > _LONGEST * limit:
                most = f"{max(n_source, n_target):,} pieces, more than {_LONGEST} times task.max_pieces={limit}"
                self._refuse("long", where, index, f"has {most}; raise that, or split the line")
            return True
        if max(n_source, n_target) > limit:
            self.skipped["long"] += 1
            return False
        if ratio is not None and max(n_source, n_target) > ratio * min(n_source, n_target):
            self.skipped["ratio"] += 1
            return False
        return True

    def _refuse(self, reason: str, where: str, index: int, what: str) -> None:
        """Counts a training pair that is dropped; of a split that is scored, none may be."""
        if self.scored:
            raise DataError(f"line {self.n_read + index + 1:,} of {where} or of its other side {what}.")
        self.skipped[reason] += 1

    def _why(self) -> str:
        return ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in self.skipped.items())
