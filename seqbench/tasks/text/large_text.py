"""text8 and enwik8 (Mahoney's Large Text Compression Benchmark), by symbols; bits per symbol, 90 / 5 / 5 million."""

from __future__ import annotations

import math

from seqbench.data.text.large_text import ENWIK8, TEXT8
from seqbench.tasks.text.language_modeling import LanguageModeling


class Text8(LanguageModeling):
    """The letters a to z and the space; a space stands before the first symbol of valid and test."""

    corpus = TEXT8

    def unit(self, nll: float) -> dict[str, float]:
        return {"bpc": nll / math.log(2)}


class Enwik8(LanguageModeling):
    """205 different bytes; a newline stands before the first one of valid and test. Bits per character are per byte."""

    corpus = ENWIK8

    def unit(self, nll: float) -> dict[str, float]:
        return {"bpc": nll / math.log(2)}
