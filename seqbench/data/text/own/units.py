"""What a text of one's own is cut into: words, characters, bytes, or pieces that SentencePiece has learnt from it.

                 tokens of "I am\\n"          the vocabulary
    word         I | am | <eos>             words of train by falling count, those cut off being <unk>
    character    I | _ | a | m | <eos>      characters of train, likewise; the blank is itself
    byte         73 | 32 | 97 | 109 | 10    256
    subword      _I | _am | <eos>           learnt from train; what it lacks is spelt in bytes

A word ends at any white space of Unicode, the no-break space among it. All but words keep the text as it is: from their
tokens it can be written again. (SentencePiece writes a blank as U+2581, and so reads that character as a blank.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sentencepiece

from seqbench.data.sentencepiece_model import trained
from seqbench.data.text.tokenizer import EOS, WORD, Tokenizer

UNITS = ("word", "character", "byte", "subword")
_SAMPLE = 1 << 26  # bytes of text that pieces are learnt from, at most
_LINE = 1 << 12  # characters of a line that the trainer is given; it would leave out longer ones, and those with tabs


@dataclass(frozen=True)
class UnitSettings:
    """How text becomes ids. `min_count` and `max_words` cut the vocabulary of words and characters, `vocabulary_size`
    and `subword` are of subword pieces."""

    unit: str
    min_count: int
    max_words: int | None
    vocabulary_size: int
    subword: str

    def stated(self) -> dict[str, Any]:
        """Those that matter for the unit."""
        settings: dict[str, Any] = {"unit": self.unit}
        if self.unit in ("word", "character"):
            settings |= {"min_count": self.min_count}
        if self.unit == "word":
            settings |= {"max_words": self.max_words}
        if self.unit == "subword":
            settings |= {"vocabulary_size": self.vocabulary_size, "subword": self.subword}
        return settings


def _characters(text: str) -> str:
    return text


def _bytes(text: str) -> str:
    return text.encode().decode("latin-1")  # a character for each byte


CHARACTER = Tokenizer("character", _characters, {"\n": EOS}, "bpc")
UTF8_BYTE = Tokenizer("utf8_byte", _bytes, {chr(byte): str(byte) for byte in range(256)}, "bpc", start="10")
COUNTED = {"word": WORD, "character": CHARACTER}  # whose vocabulary is what train has


class Pieces:
    """SentencePiece's cutting, without loss: no normalisation, blanks kept. `model` is its file's content."""

    def __init__(self, model: bytes):
        self.model = model
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        self.vocabulary = [self._processor.id_to_piece(i) for i in range(self._processor.get_piece_size())]
        self.tokenizer = Tokenizer("subword", self._split, {}, "ppl")

    def _split(self, text: str) -> Sequence[str]:
        pieces: list[str] = []
        for line in self._processor.encode(text.split("\n")[:-1], out_type=str):
            pieces += line
            pieces.append(EOS)
        return pieces

    def text(self, pieces: Sequence[str]) -> str:
        """The text that was cut into these pieces."""
        lines: list[list[str]] = [[]]
        for piece in pieces:
            if piece == EOS:
                lines.append([])
            else:
                lines[-1].append(piece)
        return "\n".join(self._processor.decode(line) if line else "" for line in lines)


def learn_pieces(blocks: Iterable[bytes], n_bytes: int, settings: UnitSettings) -> Pieces:
    """Pieces of a text of `n_bytes`: of every k-th line, k the least number that keeps the sample small."""
    specials = {"unk_id": 0, "eos_id": 1, "bos_id": -1, "pad_id": -1, "eos_piece": EOS}
    as_it_is = {"normalization_rule_name": "identity", "remove_extra_whitespaces": False}
    lines = _sample(blocks, max(1, -(-n_bytes // _SAMPLE)))
    options = {**specials, **as_it_is, "max_sentence_length": 4 * _LINE}  # bytes
    return Pieces(trained(lines, settings.vocabulary_size, settings.subword, options))


def _sample(blocks: Iterable[bytes], every: int) -> Iterable[str]:
    n_lines = 0
    for block in blocks:
        for line in block.decode().split("\n")[:-1]:
            if n_lines % every == 0 and not line.isspace():
                yield from (line[start : start + _LINE].replace("\t", " ") for start in range(0, len(line), _LINE))
            n_lines += 1
