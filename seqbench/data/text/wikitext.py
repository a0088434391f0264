"""WikiText-2 and WikiText-103 (Merity, Xiong, Bradbury, Socher 2017, arXiv 1609.07843), by words.

Case kept, rare words as <unk>; every line ends in one <eos>, the many blank ones included. That gives the published
counts, 2,088,628 and 103,227,021 for train, and 217,646 / 245,569 for valid and test. These two are the same articles
in both, but not the same text: other words are <unk>. The `-raw-` variants, without <unk>, are not these corpora.
"""

from __future__ import annotations

from seqbench.data.text.corpus import Corpus, Hub, Split
from seqbench.data.text.tokenizer import WORD

_NOTICE = "the text is Wikipedia's, under CC BY-SA"
_HUB = Hub("Salesforce/wikitext", "b08601e04326c79dfdd32d625aee71d232d685c3")


def _splits(
    folder: str, n_shards: int, n_lines: int, n_tokens: int, sha256_valid: str, sha256_test: str
) -> dict[str, Split]:
    """`n_shards`, `n_lines` and `n_tokens` are those of train, whose checksum no one has published."""

    def shards(name: str, n: int) -> tuple[str, ...]:
        return tuple(f"{folder}/{name}-{index:05}-of-{n:05}.parquet" for index in range(n))

    return {
        "train": Split(("wiki.train", "train"), shards("train", n_shards), None, n_lines, n_tokens),
        "valid": Split(("wiki.valid", "valid", "validation"), shards("validation", 1), sha256_valid, 3_760, 217_646),
        "test": Split(("wiki.test", "test"), shards("test", 1), sha256_test, 4_358, 245_569),
    }


WIKITEXT_2 = Corpus(
    name="wikitext2",
    title="WikiText-2",
    version=1,
    tokenizer=WORD,
    vocabulary_size=33_278,
    splits=_splits(
        "wikitext-2-v1",
        1,
        36_718,
        2_088_628,
        "4427e8fc24d5ceaaff4f1d9ee42f4e82172572b107d6a4e1f32d84fa7913c3ff",
        "f68796e87c3250872a5a82da5027c4f75494ca617fbad67e36acce8a057ff3e8",
    ),
    folders=("wikitext-2", "wikitext-2-v1"),
    hub=_HUB,
    notice=_NOTICE,
    suffix=".tokens",
)
WIKITEXT_103 = Corpus(
    name="wikitext103",
    title="WikiText-103",
    version=1,
    tokenizer=WORD,
    vocabulary_size=267_735,
    splits=_splits(
        "wikitext-103-v1",
        2,
        1_801_350,
        103_227_021,
        "457c37cc16b260d7052de1cc82854038ea655c4b281277a6d57dfd353d208bbb",
        "d60a1c910b4ed1cd5fcba38f3aa51a8dada0b15b8787a2bf85d78eff346696c7",
    ),
    folders=("wikitext-103", "wikitext-103-v1"),
    hub=_HUB,
    notice=_NOTICE,
    suffix=".tokens",
)
