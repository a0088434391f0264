"""sacreBLEU's scores of translations (Post 2018, arXiv 1804.08771): BLEU, chrF and TER of a corpus, from sums.

Each score is a function of counts that add up over sentences, so several processes' sentences are scored as one corpus:
`statistics` gives the counts, `scores` what comes of their sums. On text cut into words beforehand the same scores go
by other names (bleu_tokenized, ...), since they are other numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from seqbench.contracts.evaluation import Sums


def statistics(hypotheses: Sequence[str], references: Sequence[str], tokenized: bool) -> Sums:
    """Sums over the sentences of each score's counts, by `score.place`."""
    found: Sums = {}
    for name, metric in _metrics(tokenized).items():
        (some,) = metric._extract_corpus_statistics(["a"], [["a"]])
        rows = metric._extract_corpus_statistics(hypotheses, [references]) if hypotheses else []
        for place in range(len(some)):  # a process without a sentence has counts of zero, not none
            found[f"{name}.{place:02}"] = (float(sum(row[place] for row in rows)), len(rows))
    return found


def scores(sums: Sums, tokenized: bool) -> dict[str, float]:
    """Each score whose counts are among `sums`, on sacreBLEU's scale of 0 to 100."""
    found = {}
    for name, metric in _metrics(tokenized).items():
        counts = [sums[key][0] for key in sorted(sums) if key.startswith(f"{name}.")]
        if counts:
            whole: list[Any] = [round(count) if count == round(count) else count for count in counts]
            found[name] = metric._compute_score_from_stats(whole).score
    return found


def signatures(tokenized: bool) -> dict[str, str]:
    """What each score is, in sacreBLEU's words."""
    found = {}
    for name, metric in _metrics(tokenized).items():
        metric.corpus_score(["a"], [["a"]])  # which tells the signature how many references there are
        found[name] = str(metric.get_signature())
    return found


def _metrics(tokenized: bool) -> dict[str, BLEU | CHRF | TER]:
    if tokenized:
        return {"bleu_tokenized": BLEU(tokenize="none", force=True), "chrf_tokenized": CHRF(), "ter_tokenized": TER()}
    return {"bleu": BLEU(), "chrf": CHRF(), "ter": TER()}
