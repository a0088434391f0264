"""Preparing a corpus: its text read once, checked against what is published, and written as a set of binary files.

The set is built in a folder beside its place, under a lock, and its manifest is moved in last: whoever sees a manifest
sees a whole set, whatever died before. Preparing it anew then goes on where the dead process was. Memory is bounded by
a block of text and the vocabulary.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from seqbench.data.errors import DataError, another_text
from seqbench.data.files.atomic import publish
from seqbench.data.files.lock import Progress, once
from seqbench.data.files.manifest import MANIFEST
from seqbench.data.text.corpus import SPLITS, Corpus
from seqbench.data.text.encode import encode, numbers, wrong
from seqbench.data.text.source import HUB, Text, find, find_near
from seqbench.data.text.store import Prepared, file_names, open_prepared, write_set
from seqbench.data.text.tokenizer import UNK, Numbering, ranked


def ensure_prepared(corpus: Corpus, data_dir: Path, source: str | None, progress: Progress | None = None) -> Prepared:
    """The prepared set of a corpus in `data_dir`: opened if it is there, else prepared as `prepare` does.

    Of several processes one prepares and the others wait for it. Raises `DataError` as `prepare` does, and where a set
    is there and `source` names another text.
    """
    prepared = open_prepared(corpus, data_dir)
    if prepared is None:
        return _locked(corpus, data_dir, source, progress or _silent, force=False)
    if source not in (None, HUB):
        _require_text(prepared, corpus, source, progress or _silent)
    return prepared


def is_at_hand(corpus: Corpus, data_dir: Path, source: str | None) -> bool:
    """Whether the set that a run would read is in `data_dir`, or its text on this machine to prepare it from."""
    if source not in (None, HUB):
        return os.path.exists(Path(source).expanduser())
    if os.path.exists(data_dir / corpus.name / MANIFEST):
        return True
    return source is None and find_near(corpus, data_dir) is not None


def prepare(corpus: Corpus, data_dir: Path, source: str | None, progress: Progress | None = None) -> Prepared:
    """Prepare a corpus in `data_dir`, whatever is there already, and open it.

    `source` is a folder with its files, "hub", or None: a copy in `data_dir`, else the hub. Raises `DataError` when
    nothing is found, the text is not the published one, or `data_dir` cannot be written; then nothing new is left
    there.
    """
    return _locked(corpus, data_dir, source, progress or _silent, force=True)


def _require_text(prepared: Prepared, corpus: Corpus, source: str, progress: Progress) -> None:
    """Raise `DataError` unless a set was prepared from the text in `source`.

    A split whose content is pinned can be of no other text, so it is not read.
    """
    loose = [split for split in SPLITS if corpus.splits[split].sha256 is None]
    if not loose:
        if not Path(source).expanduser().is_dir():
            raise DataError(f"source={source} is not a folder.")
        return
    texts = find(corpus, prepared.path.parent, source, progress)
    progress(f"{corpus.name}: holding {prepared.path} against {source}")
    for split in loose:
        digest = hashlib.sha256()
        for block in texts[split].blocks():
            digest.update(block)
        if digest.hexdigest() != prepared.manifest["splits"][split]["source_sha256"]:
            raise another_text(prepared.path, split, source)


def _silent(line: str) -> None:
    pass


def _locked(corpus: Corpus, data_dir: Path, source: str | None, progress: Progress, force: bool) -> Prepared:
    return once(
        corpus.name,
        data_dir / corpus.name,
        lambda: open_prepared(corpus, data_dir),
        lambda: _build(corpus, data_dir, find(corpus, data_dir, source, progress), progress),
        force,
        progress,
    )


def _build(corpus: Corpus, data_dir: Path, texts: dict[str, Text], progress: Progress) -> None:
    building = data_dir / f".{corpus.name}.building"  # what a killed process left there is gone on with
    try:
        manifest = _write(corpus, building, texts, progress)
        publish(building, data_dir / corpus.name, file_names(), MANIFEST)
    except (DataError, OSError):
        shutil.rmtree(building, ignore_errors=True)
        raise
    shutil.rmtree(building, ignore_errors=True)
    counts = " / ".join(f"{manifest['splits'][split]['n_tokens']:,}" for split in SPLITS)
    progress(f"{corpus.name}: {counts} tokens, vocabulary {manifest['vocabulary_size']:,}, in {data_dir / corpus.name}")


def _write(corpus: Corpus, folder: Path, texts: dict[str, Text], progress: Progress) -> dict[str, Any]:
    """The files of a set and its manifest, which is returned too."""
    numbering, entries = encode(corpus, texts, folder, progress)
    order, vocabulary = _vocabulary(corpus, numbering, folder)
    if corpus.vocabulary_size not in (None, len(vocabulary)):
        difference = f"it has {len(vocabulary):,} types where {corpus.vocabulary_size:,} are expected"
        raise wrong(corpus, "train", texts["train"].where, difference)
    ids = _ids(corpus, numbering, order, vocabulary)
    stated = {
        "corpus": corpus.name,
        "version": corpus.version,
        "tokenizer": corpus.tokenizer.name,
        "splits": {split: asdict(entry) for split, entry in entries.items()},
    }
    return write_set(folder, {split: numbers(folder, split) for split in SPLITS}, ids, vocabulary, stated, file_names())


def _vocabulary(corpus: Corpus, numbering: Numbering, folder: Path) -> tuple[np.ndarray, list[str]]:
    """The train split's numbers by falling count, and their tokens: number order[i] gets id i.

    Of a corpus in one file, those that train lacks come last.
    """
    counts = np.zeros(len(numbering), np.int64)
    for block in numbers(folder, "train"):
        counts += np.bincount(block, minlength=len(counts))
    if corpus.file is None:
        counts = counts[: np.count_nonzero(counts)]  # train is numbered first
    spelling = corpus.tokenizer.spelling
    tokens = [spelling.get(piece, piece) for piece in islice(numbering, len(counts))]
    order = ranked(tokens, counts)
    return order, [tokens[number] for number in order]


def _ids(corpus: Corpus, numbering: Numbering, order: np.ndarray, vocabulary: list[str]) -> np.ndarray:
    """The id of each number. Pieces that the train split lacks become <unk>."""
    if len(numbering) > len(order) and UNK not in vocabulary:
        raise DataError(
            f"{corpus.title} has {list(numbering)[len(order)]!r} in valid or test but not in train, and no {UNK}."
        )
    ids = np.full(len(numbering), vocabulary.index(UNK) if UNK in vocabulary else 0, np.int64)
    ids[order] = np.arange(len(order))
    return ids
