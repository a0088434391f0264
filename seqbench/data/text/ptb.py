"""The Penn Treebank in Mikolov's preprocessing (Mikolov et al. 2010), by words and by characters.

Lower case, numbers as N, rare words as <unk>: 10,000 types with <eos>. The character level is derived from the same
lines: a space is written "_" and the line's end is one token, <eos>; so <unk> is the five characters < u n k >.
"""

from __future__ import annotations

from seqbench.data.text.corpus import Corpus, Hub, Split
from seqbench.data.text.tokenizer import CHARACTER, WORD, Tokenizer

# name -> names of its files, its folder on the hub, SHA-256 of the content, lines
_TEXT = {
    "train": (
        ("ptb.train", "train"),
        "train",
        "5145926136ee9aef6f359b267ac09cc8a920879cd71725de17c490dd111d2998",
        42_068,
    ),
    "valid": (
        ("ptb.valid", "valid", "validation"),
        "validation",
        "fadf6277290823f881b7bf39b84e88536c87a859cd629dcfd1d2dfdef06097cf",
        3_370,
    ),
    "test": (
        ("ptb.test", "test"),
        "test",
        "c2f8c16a611595d31da5acdb7a61d50e7d5e95f6b9c05fceda5f5ddc4383e791",
        3_761,
    ),
}


def _corpus(name: str, title: str, tokenizer: Tokenizer, vocabulary_size: int, n_tokens: dict[str, int]) -> Corpus:
    return Corpus(
        name=name,
        title=title,
        version=1,
        tokenizer=tokenizer,
        vocabulary_size=vocabulary_size,
        splits={
            split: Split(stems, (f"penn_treebank/{folder}/0000.parquet",), sha256, n_lines, n_tokens[split])
            for split, (stems, folder, sha256, n_lines) in _TEXT.items()
        },
        folders=("ptb", "penn", "penn_treebank"),
        # the repository's own loader is a script, which `datasets` no longer runs; this branch is the hub's conversion
        hub=Hub("ptb-text-only/ptb_text_only", "refs%2Fconvert%2Fparquet"),
        notice="the text of the Penn Treebank belongs to the Linguistic Data Consortium: for research, not to be "
        "passed on",
    )


PTB_WORD = _corpus(
    "ptb_word",
    "the Penn Treebank",
    WORD,
    10_000,
    {"train": 929_589, "valid": 73_760, "test": 82_430},
)
PTB_CHAR = _corpus(
    "ptb_char",
    "the Penn Treebank",
    CHARACTER,
    50,
    {"train": 5_017_482, "valid": 393_042, "test": 442_423},
)
