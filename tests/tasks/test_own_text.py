"""A text of one's own as a task: its numbers, recomputed; its run's id; what is refused."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch
from own_text import made, splits
from said import left, one_sentence, run_id

from seqbench.config.compose import composed
from seqbench.engine.assemble import assemble_task
from seqbench.engine.distributed import World
from seqbench.engine.log import Log, MetricsFile
from seqbench.engine.loop import evaluate
from seqbench.engine.run import build

CONTENT = made(1_500)
PARTS = splits(CONTENT, 0.1, 0.1)
SMALL = ["model=lstm", "model.hidden_size=6", "embedding.d_embed=5", "optimizer=adam", "train.max_steps=2"]
SMALL += ["task.batch_size=4", "task.bptt=5", "train.eval_every=2", "train.threads=1"]
UNITS = {"word": [], "character": [], "byte": [], "subword": ["task.vocabulary_size=300", "task.subword=bpe"]}


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "mine.txt"
    path.write_bytes(CONTENT)
    return path


def ids_of(unit: str, text: str, folder: Path) -> list[int]:
    """The ids of a text by the set's vocabulary: cut here, apart from the code under test."""
    vocabulary = (folder / "vocabulary.txt").read_bytes().decode().split("\n")[:-1]
    id_of = {token: i for i, token in enumerate(vocabulary)}
    lines = text.split("\n")[:-1]
    if unit == "byte":
        return list(text.encode())
    if unit == "subword":
        model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "subwords.model"))
        return [i for line in lines for i in [*model.encode(line), model.eos_id()]]
    tokens = [piece for line in lines for piece in [*(line.split() if unit == "word" else line), "<eos>"]]
    return [id_of.get(token, id_of.get("<unk>")) for token in tokens]


@pytest.mark.parametrize("unit", UNITS)
def test_the_perplexities_are_those_of_the_models_log_probabilities(unit, file, tmp_path):
    settings = [f"task.unit={unit}", *UNITS[unit], f"source={file}", f"data_dir={tmp_path / 'data'}"]
    config = composed(["task=text", "task.eval_window=700", *SMALL, *settings])
    run = build(
        config, World(config.train), Log(MetricsFile(tmp_path / "log"), True), assemble_task(config), tmp_path / "run"
    )
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in run.learner.parameters():
            parameter.normal_(0, 0.7)  # a model that a shift by one token would be seen in
    (folder,) = (tmp_path / "data").glob("text-*")
    for split in ("valid", "test"):
        metrics, _ = evaluate(run, split)
        ids = np.array(ids_of(unit, PARTS[split], folder))
        end = ids_of(unit, "\n", folder)[-1]
        inputs_1T = torch.tensor(np.concatenate([[end], ids[:-1]])[None])
        with torch.no_grad():
            y_1TD, _ = run.learner.features(inputs_1T)
            z_TC = y_1TD[0].double() @ run.learner.head.linear.weight.double().T + run.learner.head.linear.bias.double()
        nats = -float(z_TC.log_softmax(-1)[torch.arange(len(ids)), ids].sum())
        text = PARTS[split]
        expected = {
            "nll": nats / len(ids),
            "ppl": math.exp(nats / len(ids)),
            "bpc": nats / math.log(2) / len(text),
            "word_ppl": math.exp(nats / (len(text.split()) + text.count("\n"))),
            "n_targets": len(ids),
        }
        assert metrics == pytest.approx(expected, rel=2e-5)
        if unit == "word":
            assert metrics["word_ppl"] == pytest.approx(metrics["ppl"], rel=1e-12)


def test_another_text_is_another_run_and_a_moved_file_is_the_same(seqbench, file, tmp_path):
    settings = ["task=text", "task.unit=character", *SMALL, "data_dir=data"]
    first = run_id(seqbench, *settings, "source=mine.txt")
    code, said, errors = seqbench("train", *settings, "source=mine.txt")
    assert (code, errors) == (0, "") and f"Test of run {first} at step 2: bpc " in said and "word_ppl" in said
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "text.gz").write_bytes(gzip.compress(CONTENT))
    code, said, errors = seqbench("train", *settings, "source=moved/text.gz")
    assert code == 0 and f"Run {first} has finished" in said
    file.write_bytes(CONTENT + b"and more\n")
    other = run_id(seqbench, *settings, "source=mine.txt")
    assert other != first
    code, said, errors = seqbench("train", *settings, "source=mine.txt")
    assert (code, errors) == (0, "") and f"Test of run {other}" in said
    file.unlink()
    code, said, errors = seqbench("eval", f"run={first}", "split=valid", "data_dir=data")
    assert (code, errors) == (0, "")  # the prepared text is found by its checksum
    record = json.loads((tmp_path / "results" / "runs" / f"{first}.json").read_text())
    assert json.loads(said)["metrics"] == record["metrics"]["valid"]
    listed = seqbench("list")[1]
    assert f"text-character-{record['task_version']['text_sha256'][:8]}/lstm" in listed


def test_an_unfinished_run_goes_on_without_its_file(seqbench, file, tmp_path):
    settings = ["task=text", *SMALL, "data_dir=data", "source=mine.txt", "log.every=1"]
    name = run_id(seqbench, *settings)
    assert seqbench("train", *settings)[0] == 0
    (tmp_path / "outputs" / name / "record.json").unlink()
    file.rename(tmp_path / "renamed.txt")
    code, said, errors = seqbench("train", f"run={name}")
    assert (code, errors) == (0, "") and f"Test of run {name}" in said


@pytest.mark.slow
def test_two_processes_come_to_the_same_numbers(seqbench, file, tmp_path):
    settings = ["task=text", *SMALL, "data_dir=data", "source=mine.txt"]
    assert seqbench("train", *settings)[0] == 0
    code, said, errors = seqbench("train", *settings, "train.nproc=2", "output_dir=two", "results_dir=two")
    assert (code, errors) == (0, ""), said
    (one,), (two,) = ((tmp_path / place / "runs").glob("*.json") for place in ("results", "two"))
    alone, together = (json.loads(path.read_text())["metrics"]["test"] for path in (one, two))
    assert one.name == two.name and together == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ([], "task=text reads a text of your own: name its file or folder as source=<path>."),
        (["source=nowhere"], "source=nowhere does not exist; name a text file, or a folder with .txt files"),
        (["source=mine.txt", "task.valid_share=0"], "task.valid_share is above 0 and below 1, not 0."),
        (["source=mine.txt", "task.valid_share=0.6", "task.test_share=0.5"], "leave nothing for train"),
        (["source=mine.txt", "task.unit=letter"], "task.unit is one of word, character, byte, subword, not 'letter'"),
        (["source=mine.txt", "task.unit=subword"], "make task.vocabulary_size at most "),
        (["source=mine.txt", "task.batch_size=9000"], "give no window of task.bptt=5 steps in task.batch_size=9000"),
        (
            ["source=mine.txt", "task.data_sha256=abc"],
            "task.data_sha256=abc is not that of source=mine.txt, which has ",
        ),
        (
            ["task.data_sha256=abc"],
            "The text of this run (SHA-256 abc) is not prepared in data; name its file or folder",
        ),
        (["source=latin.txt"], "latin.txt is not UTF-8 text (line 2); save it as UTF-8."),
    ],
)
def test_a_mistake_is_one_sentence(settings, complaint, seqbench, file, tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"one\ncaf\xe9\n")
    code, _, errors = seqbench("train", "task=text", *SMALL, *settings, "data_dir=data")
    assert code == 2 and complaint in one_sentence(errors)
    written = {path.parent.name.partition("-")[0] for path in left(tmp_path)} - {tmp_path.name}
    assert written <= {"text"}  # at most the prepared text
