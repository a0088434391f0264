"""Text to tokens: words or characters, each line ended by <eos>, or bytes; and the numbering of tokens in one pass.

A tokenizer sees text of whole stripped lines, each ended by a newline (or any text, where symbols are all there is),
and cuts it into pieces. A piece is what is looked up; its spelling is what the vocabulary shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

EOS = "<eos>"
UNK = "<unk>"


@dataclass(frozen=True)
class Tokenizer:
    """How text is cut into pieces, and what a piece is called.

    `split` cuts text, decoded with `encoding`; `spelling` names the pieces whose token is written otherwise. `unit` is
    the metric in which the literature reports the loss of its tokens: ppl or bpc. `start` is the token that stands
    before the first one of a split when it is evaluated.
    """

    name: str
    split: Callable[[str], Sequence[str]]
    spelling: Mapping[str, str]
    unit: str
    start: str = EOS
    encoding: str = "utf-8"


def _words(text: str) -> list[str]:
    # one replace and one split of a whole block are several times faster than a split for each line
    return text.replace("\n", f" {EOS} ").split()


def _characters(text: str) -> str:
    return text


WORD = Tokenizer("word", _words, {}, "ppl")
CHARACTER = Tokenizer("char", _characters, {" ": "_", "\n": EOS}, "bpc")
# symbols of a text without lines: nothing is added to it, and what stands before a split's first symbol is the one that
# ends a word (a line): the true one would be the last of the split before. Latin-1 gives each byte its own character.
LETTER = Tokenizer("letter", _characters, {" ": "_"}, "bpc", start="_", encoding="latin-1")
BYTE = Tokenizer("byte", _characters, {chr(i): str(i) for i in range(256)}, "bpc", start="10", encoding="latin-1")


class Numbering(dict[str, int]):
    """Pieces numbered in order of first occurrence: looking up a new one gives it the next number."""

    def __missing__(self, piece: str) -> int:
        number = self[piece] = len(self)
        return number

    def encode(self, pieces: Sequence[str]) -> np.ndarray:
        """The numbers of the pieces, (N,) uint32."""
        return np.fromiter(map(self.__getitem__, pieces), np.uint32, len(pieces))


def ranked(tokens: Sequence[str], counts: np.ndarray) -> np.ndarray:
    """Indices that sort tokens by falling count, ties by the token's code points: the order of a vocabulary's ids.

    Ties do not go by first occurrence, so the ids do not depend on the order of the lines.
    """
    return np.array(sorted(range(len(tokens)), key=lambda i: (-counts[i], tokens[i])), dtype=np.int64)
