"""A preparation killed with -9, anywhere, goes on and ends with the bytes of an undisturbed one; nothing that was left
can mislead it."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from seqbench.data.errors import DataError
from seqbench.data.text import encode
from seqbench.data.text.build import ensure_prepared, prepare
from seqbench.data.text.corpus import SPLITS, Corpus
from seqbench.data.text.tokenizer import CHARACTER, WORD

# saves its state after every block, reads small blocks, and takes its time
CODE = """
import pickle, sys, time
from pathlib import Path
from seqbench.data.text import encode
from seqbench.data.files import blocks
from seqbench.data.text.build import ensure_prepared
encode.PAUSE, blocks._CHUNK = 0.0, 2000
corpus = pickle.loads(Path(sys.argv[1]).read_bytes())
print("begun", flush=True)
print(ensure_prepared(corpus, Path(sys.argv[2]), sys.argv[3], lambda line: print(line, flush=True)).sha256)
"""


@pytest.fixture
def long_text() -> dict[str, list[str]]:
    chance = random.Random(0)
    words = [f"w{number}" for number in range(400)]
    return {
        split: ["", *(" ".join(chance.choices(words, k=chance.randint(0, 20))) for _ in range(n)), " ".join(words)]
        for split, n in {"train": 2_000, "valid": 300, "test": 300}.items()
    }


@pytest.fixture
def source(tmp_path, long_text) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for split, lines in long_text.items():
        (folder / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines))
    return folder


def start(corpus: Corpus, tmp_path: Path, source: Path) -> subprocess.Popen:
    (tmp_path / "corpus.pickle").write_bytes(pickle.dumps(corpus))
    command = [sys.executable, "-c", CODE, *map(str, (tmp_path / "corpus.pickle", tmp_path / "data", source))]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def set_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("tokenizer", [WORD, CHARACTER], ids=["words", "characters"])
def test_kills_at_random(tokenizer, corpus_of, long_text, source, tmp_path):
    corpus = corpus_of(long_text, tokenizer)
    expected = prepare(corpus, tmp_path / "undisturbed", str(source))
    chance, went_on, n_killed = random.Random(1), 0, 0
    while n_killed < 8 or went_on < 3:
        process = start(corpus, tmp_path, source)
        assert process.stdout.readline() == "begun\n"
        for _ in range(chance.randint(0, 8)):
            went_on += "going on at" in process.stdout.readline()
        time.sleep(chance.uniform(0, 0.005))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if (tmp_path / "data" / "tiny").exists():  # it was done before the signal came
            shutil.rmtree(tmp_path / "data")
            went_on = n_killed = 0
        else:
            n_killed += 1
    process = start(corpus, tmp_path, source)
    output, _ = process.communicate(timeout=240)
    assert output.splitlines()[-1] == expected.sha256 and "going on at" in output
    assert set_bytes(tmp_path / "data" / "tiny") == set_bytes(expected.path)
    assert sorted(os.listdir(tmp_path / "data")) == [".tiny.lock", "tiny"]


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture
def interrupted(monkeypatch, source, tmp_path):
    """Prepares up to about the middle of train, having saved a state; gives the folder that is left."""

    def interrupt(corpus: Corpus) -> Path:
        lines = []

        def progress(line: str) -> None:
            lines.append(line)
            if len(lines) == 10:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(encode, "PAUSE", 0.0)
            patch.setattr("seqbench.data.files.blocks._CHUNK", 2000)
            with pytest.raises(Killed):
                prepare(corpus, tmp_path / "data", str(source), progress)
        return tmp_path / "data" / ".tiny.building"

    monkeypatch.setattr("seqbench.data.files.blocks._CHUNK", 2000)
    return interrupt


def going_on(corpus: Corpus, data_dir: Path, source: Path) -> tuple[str, str]:
    """The set's checksum and what was said."""
    lines = []
    return ensure_prepared(corpus, data_dir, str(source), lines.append).sha256, "\n".join(lines)


def test_what_was_done_is_not_done_again(corpus_of, long_text, source, tmp_path, interrupted, monkeypatch):
    corpus = corpus_of(long_text)
    expected = prepare(corpus, tmp_path / "undisturbed", str(source)).sha256
    state = json.loads((interrupted(corpus) / "state.json").read_text())
    cut, count = encode.Numbering.encode, []
    monkeypatch.setattr(encode.Numbering, "encode", lambda self, pieces: count.append(len(pieces)) or cut(self, pieces))
    found, said = going_on(corpus, tmp_path / "data", source)
    n_done = state["splits"]["train"]["n_tokens"]
    assert found == expected and f"tiny: going on at {n_done:,} tokens" in said
    assert n_done > 1000 and sum(count) == sum(split.n_tokens for split in corpus.splits.values()) - n_done


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def extended(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"12345")


def changed_state(**values: object):
    def change(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def changed_count(n_tokens: object) -> dict[str, dict[str, object]]:
    entry = {"n_lines": 0, "n_words": 0, "n_characters": 0, "n_bytes": 0, "source_sha256": ""}
    return {split: {**entry, "n_tokens": n_tokens} for split in SPLITS}


def repeated(path: Path) -> None:
    """One piece where another was."""
    pieces = path.read_bytes().splitlines(keepends=True)
    other = next(place for place in range(2, len(pieces)) if len(pieces[place]) == len(pieces[1]))
    path.write_bytes(b"".join([*pieces[:other], pieces[1], *pieces[other + 1 :]]))


DAMAGE = [
    (truncated, "state.json", "is damaged"),
    (lambda path: path.write_text("[1]"), "state.json", "is damaged"),
    (lambda path: path.write_bytes(b"\xff\x00"), "state.json", "is damaged"),
    (changed_state(n_pieces=3), "state.json", "is damaged"),
    (changed_state(n_bytes=-1.5), "state.json", "is damaged"),
    (changed_state(splits={"train": {"n_tokens": -1}}), "state.json", "is damaged"),
    (changed_state(splits=changed_count(-4)), "state.json", "is damaged"),
    (changed_state(splits=changed_count(1.5)), "state.json", "is damaged"),
    (lambda path: path.write_text("[" * 100_000), "state.json", "is damaged"),
    (repeated, "pieces", "is damaged"),
    (changed_state(corpus=["tiny", 0, "word"]), "state.json", "is damaged"),
    (lambda path: path.unlink(), "state.json", ""),
    (truncated, "train.numbers", "is damaged"),
    (lambda path: path.unlink(), "train.numbers", "is damaged"),
    (truncated, "pieces", "is damaged"),
    (lambda path: path.unlink(), "pieces", "is damaged"),
    (extended, "train.numbers", "going on at"),  # what was written after the last state
    (extended, "pieces", "going on at"),
]


@pytest.mark.parametrize(("harm", "name", "complaint"), DAMAGE)
def test_a_damaged_state_is_made_anew(harm, name, complaint, corpus_of, long_text, source, tmp_path, interrupted):
    corpus = corpus_of(long_text)
    expected = prepare(corpus, tmp_path / "undisturbed", str(source)).sha256
    harm(interrupted(corpus) / name)
    found, said = going_on(corpus, tmp_path / "data", source)
    assert found == expected
    assert complaint in said and ("going on at" in said) == (complaint == "going on at")


def test_another_text_than_that_of_the_state(corpus_of, long_text, source, tmp_path, interrupted):
    interrupted(corpus_of(long_text))
    long_text["train"][0] = "w1 w2 w1"  # not seen by a process that goes on without looking back
    (source / "train.txt").write_text("".join(f"{line}\n" for line in long_text["train"]))
    corpus = corpus_of(long_text)
    expected = prepare(corpus, tmp_path / "undisturbed", str(source)).sha256
    found, said = going_on(corpus, tmp_path / "data", source)
    assert found == expected and "is of another text and is made anew" in said


@pytest.mark.parametrize("position", [0, -1])
def test_a_wrong_text_is_found_after_an_interruption_too(position, corpus_of, long_text, source, tmp_path, interrupted):
    wrong = {**long_text, "train": list(long_text["train"])}
    wrong["train"][position] = wrong["train"][position] + " w9"
    corpus = corpus_of(wrong)  # what is expected is not what lies there
    interrupted(corpus)
    with pytest.raises(DataError, match="is not the train split of the tiny corpus"):
        going_on(corpus, tmp_path / "data", source)
    assert os.listdir(tmp_path / "data") == []


def test_counts_are_the_check_where_no_checksum_is_known(corpus_of, text, raw, tmp_path):
    known = corpus_of(text)
    unknown = {split: replace(known.splits[split], sha256=None) for split in SPLITS}
    corpus = replace(known, splits=unknown)
    prepared = prepare(corpus, tmp_path / "data", str(raw))
    assert prepared.sha256 == prepare(known, tmp_path / "known", str(raw)).sha256
    found = {split: prepared.manifest["splits"][split]["source_sha256"] for split in SPLITS}
    assert found == {split: known.splits[split].sha256 for split in SPLITS}

    def complaint(change: str, by: str) -> str:
        (raw / "train.txt").write_text("".join(f"{line}\n" for line in text["train"]).replace(change, by))
        with pytest.raises(DataError) as caught:
            prepare(corpus, tmp_path / "data", str(raw))
        return str(caught.value)

    assert "train.txt is not the train split of the tiny corpus: it has 6 lines where 5 are" in complaint(
        "the end", "the\nend"
    )
    assert "it has 20 tokens where 21 are expected" in complaint("the cat", "the")
    assert "it has 11 types where 10 are expected" in complaint("the end", "an end")
    assert ensure_prepared(corpus, tmp_path / "data", None).sha256 == prepared.sha256  # the set before stands
