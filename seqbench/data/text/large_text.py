"""text8 and enwik8, the first hundred million bytes of an English Wikipedia (Mahoney's Large Text Compression
Benchmark), by symbols: cut into 90, 5 and 5 million for train, valid and test, as Transformer-XL's code does.

text8 is cleaned to the letters a to z and the space: 27 symbols, the space written "_". enwik8 is the dump as it is:
205 different bytes, each written as its number. Neither has lines that count: no <eos> is added.
"""

from __future__ import annotations

from seqbench.data.text.corpus import Corpus, Split
from seqbench.data.text.tokenizer import BYTE, LETTER, Tokenizer


def _corpus(name: str, tokenizer: Tokenizer, vocabulary_size: int) -> Corpus:
    return Corpus(
        name=name,
        title=name,
        version=1,
        tokenizer=tokenizer,
        vocabulary_size=vocabulary_size,
        splits={
            "train": Split((), (), None, None, 90_000_000),
            "valid": Split((), (), None, None, 5_000_000),
            "test": Split((), (), None, None, 5_000_000),
        },
        folders=(name,),
        hub=None,
        notice="",
        file=name,
    )


TEXT8 = _corpus("text8", LETTER, 27)
ENWIK8 = _corpus("enwik8", BYTE, 205)
