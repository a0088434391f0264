"""Preparing a corpus: its text read once, checked against what is published, and written as a set of binary files.

The set is built in a folder beside its place, under a lock, and its manifest is moved in last: whoever sees a manifest
sees a whole set, whatever died before. Memory is bounded by a block of text and the vocabulary.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock, Timeout

from seqbench.data.corpus import SPLITS, Corpus
from seqbench.data.errors import DataError
from seqbench.data.source import Progress, Text, find
from seqbench.data.store import DTYPES, FORMAT, MANIFEST, VOCABULARY, Prepared, binary, file_sha256, open_prepared
from seqbench.data.tokenizer import UNK, Numbering, ranked

_BLOCK = 1 << 20  # ids renumbered at a time


def ensure_prepared(corpus: Corpus, data_dir: Path, source: str | None, progress: Progress | None = None) -> Prepared:
    """The prepared set of a corpus in `data_dir`: opened if it is there, else prepared as `prepare` does. Of several
    processes one prepares and the others wait for it."""
    found = open_prepared(corpus, data_dir)
    if found is not None:
        return found
    return _locked(corpus, data_dir, source, progress or _silent, force=False)


def prepare(corpus: Corpus, data_dir: Path, source: str | None, progress: Progress | None = None) -> Prepared:
    """Prepare a corpus in `data_dir`, whatever is there already, and open it.

    `source` is a folder with its files, "hub", or None: a copy in `data_dir`, else the hub. Raises `DataError` when
    nothing is found, the text is not the published one, or `data_dir` cannot be written; then nothing new is left
    there.
    """
    return _locked(corpus, data_dir, source, progress or _silent, force=True)


def _silent(line: str) -> None:
    pass


def _locked(corpus: Corpus, data_dir: Path, source: str | None, progress: Progress, force: bool) -> Prepared:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = FileLock(data_dir / f".{corpus.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress(f"{corpus.name}: waiting for another process that prepares it")
            lock.acquire()
        try:
            found = None if force else open_prepared(corpus, data_dir)
            if found is None:
                _build(corpus, data_dir, find(corpus, data_dir, source, progress), progress)
                found = open_prepared(corpus, data_dir)
        finally:
            lock.release()
    except OSError as error:  # readers turn their own into DataError, so this one comes from writing
        raise DataError(
            f"{corpus.name} cannot be prepared in {data_dir}: {error.strerror or error}; name a folder that can be "
            "written and has room as data_dir=<folder>, and the folder with the raw files as source=<folder>."
        ) from error
    if found is None:
        raise DataError(f"{data_dir / corpus.name} was removed while it was being prepared; prepare it again.")
    return found


def _build(corpus: Corpus, data_dir: Path, texts: dict[str, Text], progress: Progress) -> None:
    building = data_dir / f".{corpus.name}.building"
    shutil.rmtree(building, ignore_errors=True)  # left by a process that was killed; the lock says that it is gone
    try:
        building.mkdir()
        manifest = _write(corpus, building, texts, progress)
        _publish(building, data_dir / corpus.name)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    counts = " / ".join(f"{manifest['splits'][split]['n_tokens']:,}" for split in SPLITS)
    progress(f"{corpus.name}: {counts} tokens, vocabulary {manifest['vocabulary_size']:,}, in {data_dir / corpus.name}")


def _write(corpus: Corpus, folder: Path, texts: dict[str, Text], progress: Progress) -> dict[str, Any]:
    """The files of a set and its manifest, which is returned too."""
    numbering = Numbering()
    splits: dict[str, dict[str, Any]] = {}
    counts = np.zeros(0, np.int64)
    for split in SPLITS:
        progress(f"{corpus.name}: reading {texts[split].where}")
        splits[split], split_counts = _encode(corpus, split, texts[split], numbering, folder / f"{split}.numbers")
        if split == "train":
            counts = split_counts
    order, vocabulary = _vocabulary(corpus, numbering, counts)
    found = {split: splits[split]["n_tokens"] for split in SPLITS} | {"vocabulary": len(vocabulary)}
    expected = {split: corpus.splits[split].n_tokens for split in SPLITS} | {"vocabulary": corpus.vocabulary_size}
    if found != expected:  # the text is right, so the tokenizer is not
        raise DataError(f"{corpus.name} was cut into {found} tokens where {expected} are published.")
    dtype = "uint16" if len(vocabulary) <= 1 << 16 else "uint32"
    id_of_number = _ids(corpus, numbering, order, vocabulary).astype(DTYPES[dtype])
    for split in SPLITS:
        numbers = folder / f"{split}.numbers"
        _renumber(numbers, id_of_number, folder / binary(split))
        numbers.unlink()
    _save(folder / VOCABULARY, "".join(f"{token}\n" for token in vocabulary))
    names = sorted([*(binary(split) for split in SPLITS), VOCABULARY])
    manifest = {
        "format": FORMAT,
        "corpus": corpus.name,
        "version": corpus.version,
        "tokenizer": corpus.tokenizer.name,
        "vocabulary_size": len(vocabulary),
        "dtype": dtype,
        "splits": splits,
        "files": {
            name: {"n_bytes": (folder / name).stat().st_size, "sha256": file_sha256(folder / name)} for name in names
        },
    }
    _save(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    return manifest


def _encode(
    corpus: Corpus, split: str, text: Text, numbering: Numbering, path: Path
) -> tuple[dict[str, Any], np.ndarray]:
    """Writes the pieces' numbers; the split's entry in the manifest, and how often each number came."""
    digest, counts = hashlib.sha256(), np.zeros(0, np.int64)
    n_lines = n_words = n_characters = 0
    with path.open("wb") as file:
        for lines in text.blocks:
            block = "\n".join(lines) + "\n"
            digest.update(block.encode("utf-8", "surrogatepass"))  # JSON can spell what UTF-8 cannot
            pieces = corpus.tokenizer.split(block)
            numbers = numbering.encode(pieces)
            file.write(numbers.data)
            counts = np.pad(counts, (0, len(numbering) - len(counts))) + np.bincount(numbers, minlength=len(numbering))
            n_lines += len(lines)
            n_words += len(block.split())
            n_characters += len(block) - len(lines)
    _check(corpus, split, text.where, n_lines, digest.hexdigest())
    entry = {
        "n_tokens": int(counts.sum()),
        "n_lines": n_lines,
        "n_words": n_words,  # between blanks, without <eos>: what a word perplexity divides by, <eos> apart
        "n_characters": n_characters,  # without line ends
        "source_sha256": digest.hexdigest(),
    }
    return entry, counts


def _check(corpus: Corpus, split: str, where: str, n_lines: int, sha256: str) -> None:
    expected = corpus.splits[split]
    if n_lines != expected.n_lines:
        difference = f"it has {n_lines:,} lines where {expected.n_lines:,} are expected"
    elif sha256 != expected.sha256:
        difference = (
            f"its {n_lines:,} lines differ somewhere (SHA-256 of the stripped lines {sha256[:12]}..., "
            f"expected {expected.sha256[:12]}...)"
        )
    else:
        return
    raise DataError(
        f"{where} is not the {split} split of {corpus.title}: {difference}; name a folder with the published files as "
        "source=<folder>."
    )


def _vocabulary(corpus: Corpus, numbering: Numbering, counts: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """The train split's numbers by falling count, and their tokens: number order[i] gets id i."""
    spelling = corpus.tokenizer.spelling
    tokens = [spelling.get(piece, piece) for piece in list(numbering)[: len(counts)]]
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


def _renumber(numbers: Path, id_of_number: np.ndarray, path: Path) -> None:
    with numbers.open("rb") as source, path.open("wb") as file:
        while len(block := np.fromfile(source, np.uint32, _BLOCK)):
            file.write(id_of_number[block].data)
        _flush(file)


def _save(path: Path, text: str) -> None:
    with path.open("wb") as file:
        file.write(text.encode())
        _flush(file)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())  # a rename may reach the disk before what was written


def _publish(building: Path, path: Path) -> None:
    """Moves the files of a set into its folder, the manifest last. Other files there are left alone."""
    path.mkdir(exist_ok=True)
    (path / MANIFEST).unlink(missing_ok=True)
    for source in sorted(building.iterdir(), key=lambda file: file.name == MANIFEST):
        source.replace(path / source.name)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
