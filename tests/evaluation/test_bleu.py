"""Scores of golden translations are what sacreBLEU's own command prints of them, whatever they were summed from."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from seqbench.evaluation.bleu import scores, signatures, statistics

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.hypotheses"))


def command(name, metric, *options):
    """What `sacrebleu` prints: (score, signature)."""
    files = [str(GOLDEN / f"{name}.references"), "-i", str(GOLDEN / f"{name}.hypotheses")]
    line = [sys.executable, "-m", "sacrebleu", *files, "-m", metric, "-w", "10", "--format", "json", *options]
    printed = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
    return printed["score"], printed["signature"]


def lines(name, kind):
    return (GOLDEN / f"{name}.{kind}").read_text().split("\n")[:-1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_parts", [1, 3])
@pytest.mark.parametrize("tokenized", [False, True])
def test_scores_are_the_commands(name, n_parts, tokenized):
    hypotheses, references = lines(name, "hypotheses"), lines(name, "references")
    sums: dict = {}
    for part in range(n_parts):
        found = statistics(hypotheses[part::n_parts], references[part::n_parts], tokenized)
        sums = {key: (sums.get(key, (0.0, 0))[0] + value, 0) for key, (value, _) in found.items()}
    ours, signed, suffix = scores(sums, tokenized), signatures(tokenized), "_tokenized" if tokenized else ""
    assert set(ours) == {f"bleu{suffix}", f"chrf{suffix}", f"ter{suffix}"}
    for metric in ("bleu", "chrf", "ter"):
        options = ["--tokenize", "none", "--force"] if tokenized and metric == "bleu" else []
        score, signature = command(name, metric, *options)
        assert ours[f"{metric}{suffix}"] == pytest.approx(score, abs=1e-9)
        assert signed[f"{metric}{suffix}"] == signature


def test_a_process_without_sentences_adds_nothing():
    some, none = statistics(["a cat"], ["a dog"], False), statistics([], [], False)
    assert set(some) == set(none) and {value for value, _ in none.values()} == {0.0}


def test_no_counts_no_scores():
    assert scores({"nll": (1.0, 2)}, False) == {}
