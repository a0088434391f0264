"""Subword pieces of sentence pairs, learnt by SentencePiece (data/sentencepiece_model.py).

One vocabulary for both languages. Text is normalised by `nmt_nfkc`: Unicode NFKC with runs of blanks made one.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import sentencepiece

from seqbench.data.sentencepiece_model import LONGEST, trained

NORMALISATION = "nmt_nfkc"
PAD, BOS, EOS, UNK = range(4)


def learn(lines: Iterable[str], vocabulary_size: int, kind: str) -> bytes:
    """A model of `vocabulary_size` pieces as SentencePiece's file has it. The same lines give the same bytes."""
    specials = {"pad_id": PAD, "bos_id": BOS, "eos_id": EOS, "unk_id": UNK}
    return trained(lines, vocabulary_size, kind, {"normalization_rule_name": NORMALISATION, **specials})


class Subwords:
    """A learnt vocabulary. `sha256` is its file's."""

    def __init__(self, path: Path):
        model = path.read_bytes()
        self.sha256 = hashlib.sha256(model).hexdigest()
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    def __len__(self) -> int:
        return self._processor.get_piece_size()

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Ids of each line's pieces, without <s> and </s>."""
        return self._processor.encode(list(lines), out_type=int)

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Text of each list of ids, blanks where the pieces have them: detokenised as the training text was."""
        return self._processor.decode([list(map(int, sequence)) for sequence in ids])


def surely_longer(line: str, n_pieces: int) -> bool:
    """Whether a line must have more than so many pieces, known before it is cut into them."""
    most = LONGEST * n_pieces
    return len(line) > most and len(" ".join(unicodedata.normalize("NFKC", line).split())) > most
