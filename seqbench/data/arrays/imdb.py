"""The Large Movie Review Dataset: 25,000 reviews to train on and 25,000 to test, half of each positive (Maas et al.
2011). Read from the published folder aclImdb, or from train.jsonl and test.jsonl with a review a line, {"id": 0,
"label": "neg", "text": "..."}.

Reviews are stored negative ones first, each by its number: as UTF-8 bytes, and as words by their rank in the training
reviews. Words are in lower case, runs of letters and digits with apostrophes inside; the tag <br /> is a blank.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from seqbench.data.arrays.published import Arrays, Published
from seqbench.data.errors import DataError
from seqbench.data.files.blocks import line_blocks

PARTS = ("train", "test")
_LABELS = ("neg", "pos")
_WORD = re.compile(r"\w+(?:'\w+)*")
Review = tuple[int, int, str]  # label, number, text


def words(text: str) -> list[str]:
    return _WORD.findall(text.replace("<br />", " ").lower())


def _read(files: Mapping[str, Path]) -> Arrays:
    reviews = {part: _reviews(files[part]) for part in PARTS}
    split = {part: [words(text) for _, _, text in reviews[part]] for part in PARTS}
    counts = Counter(itertools.chain.from_iterable(split["train"]))
    vocabulary = sorted(counts, key=lambda word: (-counts[word], word))
    rank = {word: number for number, word in enumerate(vocabulary)}
    arrays: Arrays = {"vocabulary": np.frombuffer("\n".join(vocabulary).encode(), np.uint8)}
    for part in PARTS:
        texts = [text.encode() for _, _, text in reviews[part]]
        ids = itertools.chain.from_iterable(split[part])
        arrays |= {
            f"{part}_labels": np.array([label for label, _, _ in reviews[part]], np.uint8),
            f"{part}_bytes": np.frombuffer(b"".join(texts), np.uint8),
            f"{part}_byte_lengths": np.array([len(text) for text in texts], np.int64),
            f"{part}_words": np.array([rank.get(word, len(rank)) for word in ids], np.uint32),
            f"{part}_word_lengths": np.array([len(review) for review in split[part]], np.int64),
        }
    return arrays


def _reviews(path: Path) -> list[Review]:
    """The reviews of a part, sorted. Raises `DataError` for files that are none, and for a part without both labels."""
    reviews = sorted(_in_folder(path) if path.is_dir() else _in_lines(path))
    if {label for label, _, _ in reviews} != {0, 1}:
        raise DataError(f"{path} does not hold both positive and negative reviews.")
    return reviews


def _in_lines(path: Path) -> Iterator[Review]:
    numbers = itertools.count(1)
    for block in line_blocks(path):
        for line in block.split(b"\n"):
            number = next(numbers)
            try:
                row = json.loads(line)
                review = _LABELS.index(row["label"]), int(row["id"]), str(row["text"])
                review[2].encode()
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise DataError(
                    f'line {number:,} of {path} is not a JSON object with "id", "label" (neg or pos) and "text".'
                ) from error
            yield review


def _in_folder(folder: Path) -> Iterator[Review]:
    for label, name in enumerate(_LABELS):
        for path in (folder / name).glob("*.txt"):
            number = path.stem.partition("_")[0]
            if not number.isdecimal():
                raise DataError(f"{path} is not named as a review, <number>_<rating>.txt.")
            try:
                yield label, int(number), path.read_bytes().decode()
            except (OSError, UnicodeDecodeError) as error:
                raise DataError(f"{path} cannot be read as UTF-8 text.") from error


IMDB = Published(
    name="imdb",
    title="the Large Movie Review Dataset",
    version=1,
    folders=("imdb", "aclImdb"),
    files={"train": ("train.jsonl", "train"), "test": ("test.jsonl", "test")},
    read=_read,
    arrays={  # the words follow from the bytes
        "vocabulary": None,
        "train_labels": "ff68e9a83881ce8fb7ca19b216fdc6ca4781a09583d9f79262de412de739c845",
        "train_bytes": "3335c6758ff5d74ee549bb0d66097a43e3c2a2dd1ddabf9ae91f6d2103959a28",
        "train_byte_lengths": "567fe888407a1719e01c2078dffa0f5da3cdc14ea0400d2fa90069b69faa7f4d",
        "train_words": None,
        "train_word_lengths": None,
        "test_labels": "ff68e9a83881ce8fb7ca19b216fdc6ca4781a09583d9f79262de412de739c845",
        "test_bytes": "723b85a7e89767b77604a0fe66ed9ec51aa162caa1b6068f4956fb0ff0d056c1",
        "test_byte_lengths": "5cf4f4cf31cfc65cf998ab800c98f872e28eed9611e2057025133e637a7d9a6c",
        "test_words": None,
        "test_word_lengths": None,
    },
)
