"""Language modelling on one continuous stream of tokens, whatever the corpus (data/text/corpora.py).

Each token is predicted from those before it (tasks/text/continuous_text.py). Before the first one of valid and of test
stands an end of sentence (text8: a space; enwik8: a newline), so the number of targets is the published number of
tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqbench.contracts.ranges import Count
from seqbench.data.files.lock import say
from seqbench.data.text.build import ensure_prepared, is_at_hand, prepare
from seqbench.data.text.corpora import CORPORA
from seqbench.data.text.corpus import Corpus
from seqbench.errors import did_you_mean
from seqbench.tasks.text.continuous_text import ContinuousText, check_windows


class LanguageModeling(ContinuousText):
    """A corpus of the table `CORPORA` by its name, in the metric of its tokens: ppl of words, bpc of characters."""

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
        carries_state: bool = True,
    ):
        check_windows(batch_size, bptt, eval_window, data_seed)
        self.corpus = _named(corpus)
        prepared = ensure_prepared(self.corpus, data_dir, source, say)
        tokenizer = self.corpus.tokenizer
        windows = (batch_size, bptt, eval_window, variable_bptt, data_seed, carries_state)
        super().__init__(prepared, tokenizer.unit, tokenizer.start, *windows)
        self.version = {"name": self.corpus.name, "version": self.corpus.version, "data_sha256": prepared.sha256}

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


def _named(corpus: str) -> Corpus:
    if corpus not in CORPORA:
        raise ValueError(f"task.corpus is one of {', '.join(CORPORA)}, not {corpus!r}{did_you_mean(corpus, CORPORA)}")
    return CORPORA[corpus]
