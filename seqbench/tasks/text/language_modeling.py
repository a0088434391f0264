"""Language modelling on one continuous stream of tokens, whatever the corpus (data/text/corpora.py).

Training reads `batch_size` rows of the stream side by side in windows of `bptt` steps, the state carried from window to
window. With `variable_bptt` a window has T steps around `bptt`, drawn from `data_seed`, and the learning rate of its
step is multiplied by T / bptt (Merity, Keskar, Socher 2018, arXiv 1708.02182). Evaluation reads the whole split as one
row: every token is scored, the first one given an end of sentence (text8: a space; enwik8: a newline), so the number of
targets is the published number of tokens.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Sums
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.ranges import Count
from seqbench.contracts.task import Task
from seqbench.data.files.lock import say
from seqbench.data.random_bits import check_data_seed
from seqbench.data.text.build import ensure_prepared, is_at_hand, prepare
from seqbench.data.text.corpora import CORPORA
from seqbench.data.text.corpus import Corpus
from seqbench.data.text.stream import EvaluationStream, TokenStream
from seqbench.errors import did_you_mean
from seqbench.evaluation.scoring import perplexity, score

_BLOCK = 1 << 22  # tokens counted at a time


class LanguageModeling(Task):
    """A corpus of the table `CORPORA` by its name, in the metric of its tokens: ppl of words, bpc of characters."""

    continuous = True

    def __init__(
        self,
        corpus: str,
        batch_size: Count,
        bptt: Count,
        eval_window: Count,
        data_dir: Path,
        source: str | None,
        variable_bptt: bool = False,
        data_seed: int = 0,
    ):
        for name, value in [("batch_size", batch_size), ("bptt", bptt), ("eval_window", eval_window)]:
            if value < 1:
                raise ValueError(f"task.{name} must be positive, not {value}")
        check_data_seed(data_seed)
        self.corpus = _named(corpus)
        prepared = ensure_prepared(self.corpus, data_dir, source, say)
        eos = prepared.vocabulary.index(self.corpus.tokenizer.start)
        self.bptt = bptt
        self.ids = {split: prepared.ids(split) for split in ("train", "valid", "test")}
        self.streams = {
            "train": TokenStream(self.ids["train"], batch_size, bptt, data_seed if variable_bptt else None),
            "valid": EvaluationStream(self.ids["valid"], eval_window, eos),
            "test": EvaluationStream(self.ids["test"], eval_window, eos),
        }
        n_types = len(prepared.vocabulary)
        self.inputs, self.outputs = Inputs(n_tokens=n_types), Outputs("classes", n_types)
        self.version = {"name": self.corpus.name, "version": self.corpus.version, "data_sha256": prepared.sha256}
        self.baseline: dict[str, float] = {}

    @classmethod
    def prepare(cls, data_dir: Path, source: str | None, force: bool, settings: dict[str, Any]) -> str:
        """Prepare the corpus that `settings`, the task's own, name, anew if `force`, and say what there is."""
        corpus = _named(settings["corpus"])
        prepared = (prepare if force or source else ensure_prepared)(corpus, data_dir, source, say)
        counts = " / ".join(f"{prepared.n_tokens(split):,}" for split in ("train", "valid", "test"))
        return f"{corpus.name}: {counts} tokens, {len(prepared.vocabulary):,} types, in {prepared.path}"

    @classmethod
    def at_hand(cls, data_dir: Path, source: str | None, settings: dict[str, Any]) -> bool:
        """Whether the data are on this machine, prepared or to be prepared."""
        return is_at_hand(_named(settings["corpus"]), data_dir, source)

    def windows(self, split: str, batch_size: int, bptt: int) -> Iterator[Batch]:
        """One pass over a split in rows and windows of other sizes than the task's own."""
        stream = TokenStream(self.ids[split], batch_size, bptt)
        for index in range(stream.n_windows):
            inputs_BT, targets_BT, reset = stream.window(index)
            yield Batch(inputs_BT, targets_BT, reset=reset)

    def token_counts(self) -> np.ndarray:
        """How often each type occurs in the training split: (V,) int64."""
        ids, counts = self.ids["train"], np.zeros(self.outputs.size, np.int64)
        for start in range(0, len(ids), _BLOCK):
            counts += np.bincount(ids[start : start + _BLOCK], minlength=self.outputs.size)
        return counts

    def n_batches(self, split: str) -> int:
        return self.streams[split].n_windows

    def batch(self, split: str, index: int) -> Batch:
        inputs_BT, targets_BT, reset = self.streams[split].window(index)
        lr_scale = inputs_BT.shape[1] / self.bptt if split == "train" else 1.0
        return Batch(inputs_BT, targets_BT, reset=reset, lr_scale=lr_scale)

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score(learner, batches, "nll")

    def metrics(self, sums: Sums) -> dict[str, float]:
        """Of all targets, and of those that an evaluation tells apart: `nll_from_100` gives `ppl_from_100`."""
        metrics: dict[str, float] = {}
        for name, (total, n_targets) in sums.items():
            if not n_targets:
                continue  # no word of this split is in that band
            part = name.removeprefix("nll")
            nll = total / n_targets
            metrics |= {name: nll, f"n_targets{part}": n_targets}
            unit = self.corpus.tokenizer.unit
            metrics[f"{unit}{part}"] = perplexity(nll) if unit == "ppl" else nll / math.log(2)
        return metrics


def _named(corpus: str) -> Corpus:
    if corpus not in CORPORA:
        raise ValueError(f"task.corpus is one of {', '.join(CORPORA)}, not {corpus!r}{did_you_mean(corpus, CORPORA)}")
    return CORPORA[corpus]
