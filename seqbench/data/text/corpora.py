"""The text corpora that are known by name: the files of each, its content, and what it is cut into.

*Penn Treebank* in Mikolov's preprocessing (Marcus et al. 1993; Mikolov et al. 2010), by words and by characters. Lower
case, numbers as N, rare words as <unk>: 10,000 types with <eos>. The character level is derived from the same lines: a
space is written "_" and the line's end is one token, <eos>; so <unk> is the five characters < u n k >.

*WikiText-2 and WikiText-103* (Merity, Xiong, Bradbury, Socher 2017, arXiv 1609.07843), by words. Case kept, rare words
as <unk>; every line ends in one <eos>, the many blank ones included. Valid and test are the same articles in both, but
not the same text: other words are <unk>. The `-raw-` variants, without <unk>, are not these corpora.

*text8 and enwik8*, the first hundred million bytes of an English Wikipedia (Mahoney's Large Text Compression
Benchmark), by symbols: cut into 90, 5 and 5 million for train, valid and test, as Transformer-XL's code does. text8 is
cleaned to the letters a to z and the space, written "_"; enwik8 is the dump as it is, each byte written as its number.
Neither has lines that count: no <eos> is added.
"""

from __future__ import annotations

from collections.abc import Sequence

from seqbench.data.text.corpus import SPLITS, Corpus, Hub, Split
from seqbench.data.text.tokenizer import BYTE, CHARACTER, LETTER, WORD, Tokenizer


def _penn_treebank(name: str, tokenizer: Tokenizer, vocabulary_size: int, n_tokens: Sequence[int]) -> Corpus:
    stems = [("ptb.train", "train"), ("ptb.valid", "valid", "validation"), ("ptb.test", "test")]
    on_hub = [f"penn_treebank/{split}/0000.parquet" for split in ("train", "validation", "test")]
    contents = [
        ("5145926136ee9aef6f359b267ac09cc8a920879cd71725de17c490dd111d2998", 42_068),
        ("fadf6277290823f881b7bf39b84e88536c87a859cd629dcfd1d2dfdef06097cf", 3_370),
        ("c2f8c16a611595d31da5acdb7a61d50e7d5e95f6b9c05fceda5f5ddc4383e791", 3_761),
    ]
    return Corpus(
        name=name,
        title="the Penn Treebank",
        version=1,
        tokenizer=tokenizer,
        vocabulary_size=vocabulary_size,
        splits={
            split: Split(stems[index], (on_hub[index],), *contents[index], n_tokens[index])
            for index, split in enumerate(SPLITS)
        },
        folders=("ptb", "penn", "penn_treebank"),
        # the repository's own loader is a script, which `datasets` no longer runs; this branch is the hub's conversion
        hub=Hub("ptb-text-only/ptb_text_only", "refs%2Fconvert%2Fparquet"),
        notice="the text of the Penn Treebank belongs to the Linguistic Data Consortium: for research, not to be "
        "passed on",
    )


def _wikitext(size: int, n_shards: int, vocabulary_size: int, train: Split, sha256: Sequence[str]) -> Corpus:
    """`sha256` are those of valid and test; nobody has published one of train."""
    folder = f"wikitext-{size}-v1"
    shards = [f"{folder}/train-{index:05}-of-{n_shards:05}.parquet" for index in range(n_shards)]
    valid, test = (f"{folder}/{name}-00000-of-00001.parquet" for name in ("validation", "test"))
    return Corpus(
        name=f"wikitext{size}",
        title=f"WikiText-{size}",
        version=1,
        tokenizer=WORD,
        vocabulary_size=vocabulary_size,
        splits={
            "train": Split(train.stems, tuple(shards), train.sha256, train.n_lines, train.n_tokens),
            "valid": Split(("wiki.valid", "valid", "validation"), (valid,), sha256[0], 3_760, 217_646),
            "test": Split(("wiki.test", "test"), (test,), sha256[1], 4_358, 245_569),
        },
        folders=(f"wikitext-{size}", folder),
        hub=Hub("Salesforce/wikitext", "b08601e04326c79dfdd32d625aee71d232d685c3"),
        notice="the text is Wikipedia's, under CC BY-SA",
        suffix=".tokens",
    )


def _large_text(name: str, tokenizer: Tokenizer, vocabulary_size: int) -> Corpus:
    n_bytes = {"train": 90_000_000, "valid": 5_000_000, "test": 5_000_000}
    return Corpus(
        name=name,
        title=name,
        version=1,
        tokenizer=tokenizer,
        vocabulary_size=vocabulary_size,
        splits={split: Split((), (), None, None, n_bytes[split]) for split in SPLITS},
        folders=(name,),
        hub=None,
        notice="",
        file=name,
    )


_ALL = (
    _penn_treebank("ptb_word", WORD, 10_000, (929_589, 73_760, 82_430)),
    _penn_treebank("ptb_char", CHARACTER, 50, (5_017_482, 393_042, 442_423)),
    _wikitext(
        2,
        1,
        33_278,
        Split(("wiki.train", "train"), (), None, 36_718, 2_088_628),
        (
            "4427e8fc24d5ceaaff4f1d9ee42f4e82172572b107d6a4e1f32d84fa7913c3ff",
            "f68796e87c3250872a5a82da5027c4f75494ca617fbad67e36acce8a057ff3e8",
        ),
    ),
    _wikitext(
        103,
        2,
        267_735,
        Split(("wiki.train", "train"), (), None, 1_801_350, 103_227_021),
        (
            "457c37cc16b260d7052de1cc82854038ea655c4b281277a6d57dfd353d208bbb",
            "d60a1c910b4ed1cd5fcba38f3aa51a8dada0b15b8787a2bf85d78eff346696c7",
        ),
    ),
    _large_text("text8", LETTER, 27),
    _large_text("enwik8", BYTE, 205),
)
CORPORA = {corpus.name: corpus for corpus in _ALL}
