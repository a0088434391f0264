"""Translation of single sentences, in subword pieces of one vocabulary for both languages.

The source is read whole and ends in </s>; the target is predicted from <s> and what stands before each piece:

    source   Ein Hund . </s>
    input    <s> A dog .
    target   A dog . </s>

Training batches hold pairs of like length, at most `batch_tokens` positions on either side, padding counted, or one
pair that is longer (data/buckets.py). Every pair of valid and test is scored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Sums
from seqbench.contracts.inputs_outputs import Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.ranges import Count
from seqbench.contracts.task import SPLITS, Task
from seqbench.data.files.lock import say
from seqbench.data.pairs.buckets import Buckets, InOrder
from seqbench.data.pairs.build import are_at_hand, ensure_pairs
from seqbench.data.pairs.corpora import MULTI30K, WMT14_FRENCH, WMT14_GERMAN
from seqbench.data.pairs.source import ParallelCorpus
from seqbench.data.pairs.store import SCORED, SIDES, PairSettings
from seqbench.data.pairs.subword import BOS, EOS, PAD
from seqbench.data.random_bits import check_data_seed
from seqbench.evaluation.scoring import perplexity, score
from seqbench.learners.seq2seq import PairBatch, PairInputs

_LINE_ENDS = re.compile(r"[\r\n]+")
_LARGEST_SPLIT = 1 << 32  # pairs are numbered from this times the split's number


class Translation(Task):
    """A subclass names its `corpus`. `data_seed` fixes the order of training pairs whatever the run's seed."""

    corpus: ParallelCorpus
    equal_batches = False

    def __init__(
        self,
        source_language: str,
        target_language: str,
        vocabulary_size: int,
        subword: str,
        max_pieces: int,
        max_ratio: float | None,
        tokenized: bool,
        batch_tokens: Count,
        eval_batch_tokens: Count,
        data_seed: int,
        data_dir: Path,
        source: str | None,
    ):
        for name, number in (("batch_tokens", batch_tokens), ("eval_batch_tokens", eval_batch_tokens)):
            if number < 1:
                raise ValueError(f"task.{name} is at least 1, not {number}")
        check_data_seed(data_seed)
        languages = (source_language, target_language)
        settings = PairSettings(languages, vocabulary_size, subword, max_pieces, max_ratio, tokenized)
        self.pairs = ensure_pairs(self.corpus, settings, data_dir, source, progress=say)
        self.tokenized = tokenized
        lengths = {split: 1 + np.maximum(*(self.pairs.lengths(split, side) for side in SIDES)) for split in SPLITS}
        self.index: dict[str, Buckets | InOrder] = {
            "train": Buckets(lengths["train"], batch_tokens, data_seed),
            "valid": InOrder(lengths["valid"], eval_batch_tokens),
            "test": InOrder(lengths["test"], eval_batch_tokens),
        }
        n_pieces = len(self.pairs.subwords)
        self.outputs = Outputs("classes", n_pieces)
        self.inputs = PairInputs(
            n_tokens=n_pieces,
            n_source_tokens=n_pieces,
            shared_vocabulary=True,
            pad=PAD,
            bos=BOS,
            eos=EOS,
        )
        self.version = {
            "name": self.corpus.name,
            "version": self.corpus.version,
            "data_sha256": self.pairs.sha256,
            "subwords_sha256": self.pairs.subwords.sha256,
            "subwords": f"{subword} {n_pieces}, {self.pairs.manifest['normalisation']}, bytes for what is unknown",
            "n_train": self.pairs.manifest["splits"]["train"]["n_pairs"],
        }
        if not self.pairs.published(self.corpus.n_pairs):
            self.version["remark"] = "not the published pairs"
        self.baseline: dict[str, float] = {}

    @classmethod
    def prepare(cls, data_dir: Path, source: str | None, force: bool, settings: dict[str, Any]) -> str:
        """Prepare the pairs as the task's own `settings` say, and say what there is.

        They are made anew if `force`, or where a source is named.
        """
        return prepare_pairs(cls.corpus, data_dir, source, force, settings)

    @classmethod
    def at_hand(cls, data_dir: Path, source: str | None, settings: dict[str, Any]) -> bool:
        """Whether the data are on this machine, prepared or to be prepared."""
        return are_at_hand(cls.corpus, pair_settings(settings), data_dir, source)

    def n_batches(self, split: str) -> int:
        return self.index[split].n_batches

    def batch(self, split: str, index: int) -> PairBatch:
        examples = self.index[split].examples(index)
        sources = [self.pairs.sequence(split, "source", example) for example in examples]
        targets = [self.pairs.sequence(split, "target", example) for example in examples]
        source_BS, source_valid_BS = _padded([*map(_ended, sources)])
        target_BT, valid_BT = _padded([*map(_ended, targets)])
        inputs_BT = torch.cat([torch.full((len(examples), 1), BOS), target_BT[:, :-1]], 1)
        inputs_BT = inputs_BT.where(valid_BT, PAD)
        rows_B = torch.from_numpy(examples + SPLITS.index(split) * _LARGEST_SPLIT)
        return PairBatch(
            inputs_BT,
            target_BT,
            valid_BT,
            inputs_valid_BT=valid_BT,
            source=source_BS,
            source_valid_BS=source_valid_BS,
            rows_B=rows_B,
        )

    def sentences(self, rows: Iterable[int], side: str) -> list[str]:
        """The lines of pairs of valid or test, which `Batch.rows_B` numbers."""
        whole = {split: self.pairs.text(split, side) for split in SCORED}
        return [whole[SPLITS[row // _LARGEST_SPLIT]][row % _LARGEST_SPLIT] for row in rows]

    def detokenize(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Text of lists of target ids, a line each: pieces that spell bytes may spell the end of one."""
        return [_LINE_ENDS.sub(" ", line) for line in self.pairs.subwords.decode(ids)]

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score(learner, batches, "nll")

    def metrics(self, sums: Sums) -> dict[str, float]:
        """Of the references' pieces."""
        total, n_targets = sums["nll"]
        nll = total / n_targets
        return {"nll": nll, "ppl": perplexity(nll), "n_targets": n_targets}


class Multi30k(Translation):
    """Multi30k captions, English to German: 29,000 / 1,014 / 1,000 pairs (Elliott et al. 2016, arXiv 1605.00459).

    Test is test_2016_flickr.
    """

    corpus = MULTI30K


class WMT14German(Translation):
    """WMT14 English to German: 4.5 million pairs (Bojar et al. 2014).

    Valid is newstest2013 (3,000 pairs), test newstest2014, all 3,003.
    """

    corpus = WMT14_GERMAN


class WMT14French(Translation):
    """WMT14 English to French: 40.8 million pairs (Bojar et al. 2014).

    Valid is newstest2013 (3,000 pairs), test newstest2014, all 3,003.
    """

    corpus = WMT14_FRENCH


def prepare_pairs(
    corpus: ParallelCorpus, data_dir: Path, source: str | None, force: bool, settings: dict[str, Any]
) -> str:
    """Prepare a corpus as the task's own `settings` say, and say what there is."""
    how = pair_settings(settings)
    pairs = ensure_pairs(corpus, how, data_dir, source, force or source is not None, say)
    splits = pairs.manifest["splits"]
    counts = " / ".join(f"{splits[split]['n_pairs']:,}" for split in SPLITS)
    skipped = ", ".join(f"{count:,} {reason}" for reason, count in splits["train"]["skipped"].items())
    return (
        f"{corpus.name}: {counts} pairs of {splits['train']['n_read']:,} training lines (left out: {skipped}), "
        f"{len(pairs.subwords):,} {how.subword} pieces, in {pairs.path}"
        f"{'' if pairs.published(corpus.n_pairs) else _other(corpus)}"
    )


def pair_settings(settings: dict[str, Any]) -> PairSettings:
    """Those of a task's settings that say how pairs become ids."""
    names = ("vocabulary_size", "subword", "max_pieces", "max_ratio", "tokenized")
    languages = (settings["source_language"], settings["target_language"])
    return PairSettings(languages, **{name: settings[name] for name in names})


def _other(corpus: ParallelCorpus) -> str:
    known = ", ".join(f"{count:,} of {split}" for split, count in corpus.n_pairs.items())
    return f"; these are not the published pairs ({known}), and records will say so"


def _ended(ids: np.ndarray) -> np.ndarray:
    return np.append(ids.astype(np.int64), EOS)


def _padded(sequences: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """(B, L) ids with <pad> behind, and what of them is none."""
    lengths_B = np.fromiter(map(len, sequences), np.int64, len(sequences))
    valid_BL = np.arange(lengths_B.max()) < lengths_B[:, None]
    ids_BL = np.full(valid_BL.shape, PAD, np.int64)
    ids_BL[valid_BL] = np.concatenate(sequences)
    return torch.from_numpy(ids_BL), torch.from_numpy(valid_BL)
