"""Subword pieces learnt from text by SentencePiece (Kudo and Richardson 2018, arXiv 1808.06226).

Byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909) or the unigram model (Kudo 2018, arXiv 1804.10959).

One vocabulary for both languages. Text is normalised by `nmt_nfkc`: Unicode NFKC with runs of blanks made one. A
character that the training text lacks is spelt in bytes, so nothing becomes <unk>.
"""

from __future__ import annotations

import hashlib
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import sentencepiece

from seqbench.data.errors import DataError

KINDS = ("bpe", "unigram")
NORMALISATION = "nmt_nfkc"
PAD, BOS, EOS, UNK = range(4)
_LONGEST = 16  # characters of a piece


def learn(lines: Iterable[str], vocabulary_size: int, kind: str) -> bytes:
    """A model of `vocabulary_size` pieces as SentencePiece's file has it. The same lines give the same bytes."""
    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=written,
            vocab_size=vocabulary_size,
            model_type=kind,
            character_coverage=1.0,
            byte_fallback=True,
            normalization_rule_name=NORMALISATION,
            max_sentencepiece_length=_LONGEST,
            pad_id=PAD,
            bos_id=BOS,
            eos_id=EOS,
            unk_id=UNK,
            num_threads=1,
            minloglevel=2,
        )
    except (RuntimeError, ValueError) as error:
        most = re.search(r"<= (\d+)", str(error))
        least = re.search(r"vs (\d+)", str(error))
        remedy = f"at least {least.group(1)}" if least else f"at most {most.group(1)}" if most else "another number"
        raise DataError(
            f"a vocabulary of {vocabulary_size:,} {kind} pieces cannot be learnt from this text; make "
            f"task.vocabulary_size {remedy}."
        ) from error
    return written.getvalue()


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
    most = _LONGEST * n_pieces
    return len(line) > most and len(" ".join(unicodedata.normalize("NFKC", line).split())) > most
