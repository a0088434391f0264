"""The corpora of sentence pairs: Multi30k and WMT14."""

from __future__ import annotations

from seqbench.data.pairs.rows import ParallelHub
from seqbench.data.pairs.source import ParallelCorpus

_WMT14 = {
    "train": ("train.{language}", "{side}-train.txt"),
    "valid": ("valid.{language}", "newstest2013.{language}", "{side}-val.txt"),
    "test": ("test.{language}", "newstest2014.{language}", "{side}-test.txt"),
}
_REVISION = "b199e406369ec1b7634206d3ded5ba45de2fe696"

MULTI30K = ParallelCorpus(
    name="multi30k_ende",
    title="Multi30k",
    version=1,
    languages=("en", "de"),
    files={
        "train": ("train.{language}",),
        "valid": ("val.{language}", "valid.{language}"),
        "test": ("test_2016_flickr.{language}", "test.{language}"),
    },
    n_pairs={"train": 29_000, "valid": 1_014, "test": 1_000},
    folders=("multi30k", "multi30k_ende"),
    hub=None,
    notice="for research",
)


def _wmt14(name: str, title: str, language: str) -> ParallelCorpus:
    pair = f"{language}-en"
    return ParallelCorpus(
        name=name,
        title=title,
        version=1,
        languages=("en", language),
        files=_WMT14,
        n_pairs={"valid": 3_000, "test": 3_003},  # copies of the training text differ in how they were cleaned
        folders=(f"wmt14-{pair}", f"wmt14-en-{language}", name),
        hub=ParallelHub("wmt/wmt14", _REVISION, pair),
        notice="4.5 million pairs or, for French, 40.8 million; the texts' owners allow research",
    )


WMT14_GERMAN = _wmt14("wmt14_ende", "WMT14 English-German", "de")
WMT14_FRENCH = _wmt14("wmt14_enfr", "WMT14 English-French", "fr")
