"""WikiText (Merity, Xiong, Bradbury, Socher 2017, arXiv 1609.07843), by words; perplexity."""

from __future__ import annotations

from seqbench.data.text.wikitext import WIKITEXT_2, WIKITEXT_103
from seqbench.tasks.text.language_modeling import LanguageModeling


class WikiText2(LanguageModeling):
    """2,088,628 / 217,646 / 245,569 tokens with one <eos> a line, blank lines too; 33,278 types."""

    corpus = WIKITEXT_2


class WikiText103(LanguageModeling):
    """103,227,021 / 217,646 / 245,569 tokens with one <eos> a line, blank lines too; 267,735 types."""

    corpus = WIKITEXT_103
