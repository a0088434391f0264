"""Language modelling as a task: what a batch holds, the learning rate of windows of random length, units."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from said import rows

from seqbench.contracts.batch import Batch
from seqbench.data.errors import DataError
from seqbench.data.text.corpora import CORPORA
from seqbench.data.text.corpus import Corpus, Hub, Split
from seqbench.data.text.tokenizer import LETTER, WORD
from seqbench.data.text.windows import VariableWindows
from seqbench.tasks.text.language_modeling import LanguageModeling

LINES = {"train": ["a b c d e f g"] * 400, "valid": ["a b", "c"], "test": ["d"]}


def words() -> Corpus:
    splits = {}
    for split, lines in LINES.items():
        content = "".join(f"{line}\n" for line in lines).encode()
        n_tokens = sum(len(line.split()) + 1 for line in lines)
        splits[split] = Split((split,), (), hashlib.sha256(content).hexdigest(), len(lines), n_tokens)
    return Corpus("letters", "letters", 1, WORD, 8, splits, ("letters",), Hub("owner/letters", "main"), "")


def symbols() -> Corpus:
    lengths = {"train": 400, "valid": 50, "test": 50}
    splits = {split: Split((), (), None, None, length) for split, length in lengths.items()}
    return Corpus("symbols", "symbols", 1, LETTER, 3, splits, ("symbols",), None, "", file="symbols")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The raw text of two corpora, which stand in the table for the length of the test."""
    for corpus in (words(), symbols()):
        monkeypatch.setitem(CORPORA, corpus.name, corpus)
    for split, lines in LINES.items():
        (tmp_path / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines))
    (tmp_path / "symbols").write_text("ab " * 166 + "ab")
    return tmp_path


def test_windows_of_one_length_leave_the_learning_rate_alone(folder):
    task = LanguageModeling("letters", 4, 20, 7, folder / "data", str(folder))
    assert {task.batch("train", index).lr_scale for index in range(50)} == {1.0}
    assert task.n_batches("train") == (400 * 8 - 1) // 4 // 20
    assert task.version["data_sha256"]


def test_windows_of_random_length_scale_the_learning_rate(folder):
    task = LanguageModeling("letters", 4, 20, 7, folder / "data", str(folder), variable_bptt=True, data_seed=5)
    batches = [task.batch("train", index) for index in range(2 * task.n_batches("train"))]
    lengths = [batch.inputs.shape[1] for batch in batches]
    assert sum(lengths) == 2 * ((400 * 8 - 1) // 4) and len(set(lengths)) > 3
    assert [batch.lr_scale for batch in batches] == [length / 20 for length in lengths]
    assert [batch.reset for batch in batches].count(True) == 2
    assert task.batch("valid", 0).lr_scale == 1.0
    other = LanguageModeling("letters", 4, 20, 7, folder / "data", str(folder), variable_bptt=True, data_seed=6)
    assert [other.batch("train", index).inputs.shape[1] for index in range(10)] != lengths[:10]


def test_windows_that_begin_without_a_state(folder):
    settings = ("letters", 4, 20, 2, folder / "data", str(folder))
    task, carried = LanguageModeling(*settings, carries_state=False), LanguageModeling(*settings)
    resets = [[one.batch("train", index).reset for index in range(5)] for one in (task, carried)]
    assert resets == [[True] * 5, [True] + [False] * 4]
    assert torch.equal(task.batch("train", 3).inputs, carried.batch("train", 3).inputs)
    assert [task.batch("valid", index).reset for index in range(2)] == [True, False]


def test_a_mapped_batch_keeps_its_scale():
    batch = Batch(torch.zeros(2, 3), torch.zeros(2, 3), lr_scale=0.7)
    assert batch.map(lambda tensor: tensor[:1]).lr_scale == 0.7


def test_what_stands_before_the_first_token(folder):
    task = LanguageModeling("letters", 4, 20, 7, folder / "data", str(folder))
    first = task.batch("valid", 0)
    assert first.inputs[0, 0] == first.targets[0, 2]  # <eos>, which ends the line "a b"
    task = LanguageModeling("symbols", 4, 20, 10, folder / "data", str(folder))
    first = task.batch("valid", 0)  # "b ab ab ": 400 is 1 more than a multiple of 3
    assert first.inputs[0, 0] == first.targets[0, 1]  # a space
    assert sum(task.batch("valid", index).count() for index in range(task.n_batches("valid"))) == 50


@pytest.mark.parametrize(("name", "unit", "value"), [("letters", "ppl", 8), ("symbols", "bpc", 3)])
def test_the_unit_is_the_tokenizers(name, unit, value, folder):
    task = LanguageModeling(name, 4, 20, 10, folder / "data", str(folder))
    sums = {"nll": (math.log(2) * 30, 10), "nll_from_100": (math.log(2) * 3, 1), "nll_to_100": (0.0, 0)}
    assert task.metrics(sums) == pytest.approx(
        {"nll": math.log(8), "n_targets": 10, unit: value}
        | {"nll_from_100": math.log(8), "n_targets_from_100": 1, f"{unit}_from_100": value}
    )


def test_the_units_of_the_known_corpora():
    units = {name: corpus.tokenizer.unit for name, corpus in CORPORA.items()}
    assert units == {
        **dict.fromkeys(("ptb_word", "wikitext2", "wikitext103"), "ppl"),
        **dict.fromkeys(("ptb_char", "text8", "enwik8"), "bpc"),
    }


def test_a_corpus_that_is_not_known_is_one_sentence(folder):
    with pytest.raises(
        ValueError, match=r"^task\.corpus is one of ptb_word, .*, not 'leters' \(did you mean letters\?\)$"
    ):
        LanguageModeling("leters", 4, 20, 7, folder / "data", str(folder))


def test_a_text_whose_size_is_not_known_is_not_held_against_one(folder, monkeypatch):
    splits = {split: Split((split,), (), None, None, None) for split in LINES}
    own = replace(words(), name="own", vocabulary_size=None, splits=splits)
    monkeypatch.setitem(CORPORA, "own", own)
    task = LanguageModeling("own", 4, 20, 7, folder / "data", str(folder))
    assert task.outputs.size == 8
    assert (
        task.version["data_sha256"]
        == LanguageModeling("letters", 4, 20, 7, folder / "data", str(folder)).version["data_sha256"]
    )


@pytest.mark.parametrize("wrong", [{"bptt": 0}, {"batch_size": 0}, {"eval_window": -1}, {"data_seed": -1}])
def test_a_setting_out_of_range_is_one_sentence(wrong, folder):
    settings = {"batch_size": 4, "bptt": 20, "eval_window": 7, "data_seed": 0} | wrong
    with pytest.raises(ValueError, match=rf"^task\.{next(iter(wrong))} (must be positive|is at least 0 and below)"):
        LanguageModeling("letters", data_dir=folder / "data", source=str(folder), **settings)


@pytest.mark.parametrize("variable", [False, True])
def test_rows_shorter_than_a_window_are_one_sentence(variable, folder):
    with pytest.raises(DataError, match=r"give no window of task\.bptt=800 steps"):
        LanguageModeling("letters", 4, 800, 7, folder / "data", str(folder), variable_bptt=variable)


def test_a_step_is_made_with_the_mean_scale_of_its_batches(seqbench, real_data, tmp_path):
    settings = ["task=ptb_char", "task.batch_size=2000", "task.bptt=20", "task.variable_bptt=true", "task.data_seed=3"]
    settings += ["model=lstm", "model.hidden_size=4", "embedding.d_embed=4", "optimizer=sgd", "optimizer.lr=0.5"]
    settings += ["train.max_epochs=null", "train.max_steps=4", "train.accumulate=2", "log.every=1"]
    settings += ["task.eval_window=50000", f"source={real_data / 'ptb'}", "data_dir=data"]
    code, said, errors = seqbench("train", *settings)
    assert code == 0, errors
    assert "ptb_char: reading" in said and not errors
    told = rows(tmp_path / "outputs")
    windows = VariableWindows((5_017_482 - 1) // 2000, 20, seed=3)
    lengths = [stop - start for start, stop in map(windows.span, range(8))]
    expected = [0.5 * (lengths[2 * step] + lengths[2 * step + 1]) / 2 / 20 for step in range(4)]
    assert len(set(expected)) > 1
    assert [row["lr"] for row in told if "lr" in row] == pytest.approx(expected)
