"""Preparing a text of one's own: its ids and vocabulary as the files of a set, in a folder for each text and setting.

<data_dir>/text-<key>/    as data/text/store.py says, and for subword pieces subwords.model, SentencePiece's file

The key is a hash of the text's checksum and of the settings. The vocabulary is that of train; what train lacks, or what
is cut off, is <unk>, which stands in the vocabulary only where something is.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from seqbench.data.errors import DataError
from seqbench.data.files.atomic import publish, save
from seqbench.data.files.lock import Progress, once
from seqbench.data.files.manifest import MANIFEST, damaged, read_manifest
from seqbench.data.text.corpus import SPLITS, Corpus, Split
from seqbench.data.text.encode import encode, numbers
from seqbench.data.text.own.files import WHOLE, Files, Shares, checksum, find_files, split_texts
from seqbench.data.text.own.units import COUNTED, UTF8_BYTE, UnitSettings, learn_pieces
from seqbench.data.text.source import Text
from seqbench.data.text.store import FORMAT, Prepared, file_names, write_set
from seqbench.data.text.tokenizer import EOS, UNK, ranked

VERSION = 1  # goes up when the same text and settings give other ids
MODEL = "subwords.model"


@dataclass(frozen=True)
class Recipe:
    """What a set is made from: a text, by its checksum, how it is cut into splits, and how into tokens."""

    data_sha256: str
    shares: Shares
    settings: UnitSettings

    def name(self) -> str:
        """Of its set's folder."""
        stated = json.dumps([self.data_sha256, self.shares, self.settings.stated()], sort_keys=True)
        return f"text-{hashlib.sha256(stated.encode()).hexdigest()[:12]}"

    def file_names(self) -> list[str]:
        """All files of its set but the manifest."""
        return [*file_names(), MODEL] if self.settings.unit == "subword" else file_names()


def ensure_own(recipe: Recipe, data_dir: Path, source: str | None, force: bool, progress: Progress) -> Prepared:
    """The prepared set of a text in `data_dir`: opened if it is there (and not `force`), else prepared from `source`.

    Raises `DataError` where `source` holds another text, where there is neither, and for a text that cannot be used.
    """
    files = None if source is None else find_files(source)
    if files is not None and checksum(files) != recipe.data_sha256:
        raise DataError(
            f"source={source} holds another text than this run's (SHA-256 {checksum(files)[:12]}, not "
            f"{recipe.data_sha256[:12]}): leave task.data_sha256 out, or name the run's own text."
        )
    path = data_dir / recipe.name()

    def build() -> None:
        if files is None:
            raise DataError(
                f"The text of this run (SHA-256 {recipe.data_sha256[:12]}) is not prepared in {data_dir}; name its "
                "file or folder as source=<path>."
            )
        _build(recipe, path, files, progress)

    return once("text", path, lambda: open_own(recipe, data_dir), build, force, progress)


def open_own(recipe: Recipe, data_dir: Path) -> Prepared | None:
    """The prepared set, its files verified; None if there is none. Raises `DataError` for one that is damaged."""
    path = data_dir / recipe.name()
    mend = "make it anew with `seqbench prepare`, the same settings and force=true"
    manifest = read_manifest(path, (FORMAT, VERSION), recipe.file_names(), mend)
    if manifest is None:
        return None
    try:
        return Prepared(path, manifest)
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, mend) from error


def _build(recipe: Recipe, path: Path, files: Files, progress: Progress) -> None:
    building = path.with_name(f".{path.name}.building")  # what a killed process left there is gone on with
    texts = split_texts(files, recipe.shares)
    _require_lines(texts, recipe.shares if WHOLE in files else None)
    try:
        _write(recipe, building, texts, progress)
        publish(building, path, recipe.file_names(), MANIFEST)
    except (DataError, OSError):
        shutil.rmtree(building, ignore_errors=True)
        raise
    shutil.rmtree(building, ignore_errors=True)


def _require_lines(texts: dict[str, Text], shares: Shares | None) -> None:
    """Raise `DataError` for a split without a line; `shares` are those by which the text was cut, if it was."""
    for split, text in texts.items():
        if next(text.blocks(), None) is None:
            if shares is None:
                raise DataError(f"{text.where} is empty: the {split} split needs a line of text.")
            valid, test = shares
            raise DataError(
                f"{text.where} has no line: with task.valid_share={valid:g} and task.test_share={test:g} no line of "
                f"the text begins in the part of {split}; change the shares, or name a folder with train.txt, "
                "valid.txt and test.txt."
            )


def _write(recipe: Recipe, folder: Path, texts: dict[str, Text], progress: Progress) -> None:
    """The files of a set and its manifest."""
    settings, pieces = recipe.settings, None
    if settings.unit == "subword":
        progress(f"text: learning {settings.vocabulary_size:,} {settings.subword} pieces")
        n_bytes = sum(map(len, texts["train"].blocks()))
        pieces = learn_pieces(texts["train"].blocks(), n_bytes, settings)
    tokenizer = pieces.tokenizer if pieces else COUNTED.get(settings.unit, UTF8_BYTE)
    splits = {split: Split((), (), None, None, None) for split in SPLITS}
    corpus = Corpus("text", "the text", VERSION, tokenizer, None, splits, (), None, "")
    numbering, entries = encode(corpus, texts, folder, progress)
    counts = {split: _counts(folder, split, len(numbering)) for split in SPLITS}
    tokens = [tokenizer.spelling.get(piece, piece) for piece in numbering]
    if pieces:
        vocabulary = pieces.vocabulary
        save(folder / MODEL, pieces.model)
    elif tokenizer is UTF8_BYTE:
        vocabulary = [str(byte) for byte in range(256)]
    else:
        vocabulary = _most_frequent(tokens, counts["train"], settings)
    id_of = {token: number for number, token in enumerate(vocabulary)}
    unknown = id_of.get(UNK, 0)
    ids = np.array([id_of.get(token, unknown) for token in tokens], np.int64)
    is_unknown = np.array([id_of.get(token, unknown) == unknown and UNK in id_of for token in tokens])
    n_unknown = {split: int(counts[split][is_unknown].sum()) for split in SPLITS}
    stated = {
        "version": VERSION,
        "text_sha256": recipe.data_sha256,
        "settings": settings.stated(),
        "splits": {split: asdict(entry) | {"n_unknown": n_unknown[split]} for split, entry in entries.items()},
    }
    write_set(folder, {split: numbers(folder, split) for split in SPLITS}, ids, vocabulary, stated, recipe.file_names())


def _counts(folder: Path, split: str, n_numbers: int) -> np.ndarray:
    """How often each number stands in a split: (n_numbers,) int64."""
    counts = np.zeros(n_numbers, np.int64)
    for block in numbers(folder, split):
        counts += np.bincount(block, minlength=n_numbers)
    return counts


def _most_frequent(tokens: list[str], counts: np.ndarray, settings: UnitSettings) -> list[str]:
    """The vocabulary: tokens that train has often enough, <eos> always and <unk> where it is needed among them, by
    falling count. `counts` are those in train."""
    limit = settings.max_words if settings.unit == "word" and settings.max_words else len(tokens)
    order = [i for i in ranked(tokens, counts) if counts[i] > 0]
    often = [i for i in order if counts[i] >= settings.min_count and tokens[i] not in (EOS, UNK)]
    special = [i for i in order if tokens[i] in (EOS, UNK)]
    kept = {*special, *often[:limit]}
    n_cut = sum(int(counts[i]) for i in range(len(tokens)) if i not in kept)
    known = {tokens[i]: int(counts[i]) for i in order if i in kept}
    if len(kept) < len(tokens):
        known[UNK] = known.get(UNK, 0) + n_cut
    names, numbers_of = list(known), np.array(list(known.values()))
    return [names[i] for i in ranked(names, numbers_of)]
