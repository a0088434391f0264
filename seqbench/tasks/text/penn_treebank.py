"""Penn Treebank in Mikolov's preprocessing (Marcus et al. 1993; Mikolov et al. 2010), by words or by characters."""

from __future__ import annotations

import math

from seqbench.data.text.ptb import PTB_CHAR, PTB_WORD
from seqbench.tasks.text.language_modeling import LanguageModeling


class PennTreebankWord(LanguageModeling):
    """929,589 / 73,760 / 82,430 tokens with one <eos> a line, 10,000 types; perplexity."""

    corpus = PTB_WORD


class PennTreebankChar(LanguageModeling):
    """5,017,482 / 393,042 / 442,423 characters, 50 types; bits per character."""

    corpus = PTB_CHAR

    def unit(self, nll: float) -> dict[str, float]:
        return {"bpc": nll / math.log(2)}
