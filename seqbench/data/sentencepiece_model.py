"""SentencePiece's trainer (Kudo and Richardson 2018, arXiv 1808.06226), as pairs and a text of one's own both use it.

Byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909) or the unigram model (Kudo 2018, arXiv 1804.10959). A
character that the training text lacks is spelt in bytes, so nothing becomes <unk>.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping
from typing import Any

import sentencepiece

from seqbench.data.errors import DataError

KINDS = ("bpe", "unigram")
LONGEST = 16  # characters of a piece


def trained(lines: Iterable[str], vocabulary_size: int, kind: str, options: Mapping[str, Any]) -> bytes:
    """A model of `vocabulary_size` pieces as SentencePiece's file has it. The same lines give the same bytes.

    `options` are the trainer's own: the normalisation, and which ids the special pieces have. Raises `DataError` for a
    size that the text does not allow.
    """
    written = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=written,
            vocab_size=vocabulary_size,
            model_type=kind,
            character_coverage=1.0,
            byte_fallback=True,
            max_sentencepiece_length=LONGEST,
            num_threads=1,
            minloglevel=2,
            **options,
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
