"""Sentence pairs of one's own: the files of a folder as a corpus, told apart from others by their checksum."""

from __future__ import annotations

import hashlib
from pathlib import Path

from seqbench.data.pairs.build import text_sha256
from seqbench.data.pairs.source import ParallelCorpus, check_languages, find_pairs
from seqbench.data.text.own.files import STEMS


def own_corpus(languages: tuple[str, str], data_sha256: str) -> ParallelCorpus:
    """Pairs with this checksum. A split's files are <split>.<language>, or a table <split>.tsv."""
    return ParallelCorpus(
        name="pairs",
        title="the text",
        version=1,
        languages=languages,
        files={
            split: (*(f"{stem}.{{language}}" for stem in stems), *(f"{stem}.tsv" for stem in stems))
            for split, stems in STEMS.items()
        },
        n_pairs={},
        folders=(),
        hub=None,
        notice="",
        text=data_sha256[:12],
    )


def pairs_checksum(source: str, languages: tuple[str, str]) -> str:
    """The SHA-256 of the pairs in a folder, wherever it lies and however they are packed. Raises `DataError`."""
    corpus, folder = own_corpus(languages, ""), str(Path(source).expanduser().absolute())  # absolute: never the hub
    check_languages(corpus, languages)
    texts = find_pairs(corpus, languages, Path(folder), folder, lambda line: None)
    listing = "".join(f"{split} {text_sha256(text)}\n" for split, text in texts.items())
    return hashlib.sha256(listing.encode()).hexdigest()
