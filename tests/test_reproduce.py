"""`seqbench reproduce`: what a table lacks is run, and nothing else; stopped or killed, it goes on to the same end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SMALL = "task.delay=10, task.train_size=40, task.valid_size=20, task.test_size=20"
PUBLISHED = 'published: {test.nll: {value: "2.2", source: "Somebody 2020, Table 1", tag: P}}'
TABLE = f"""
tables:
  - name: tiny
    title: Copying ten steps later
    columns:
      - {{heading: Test loss, metric: test.nll, format: ".4f"}}
      - {{heading: Published, published: test.nll}}
    rows:
      - label: scoRNN
        experiment: copy_t100/scornn
        seeds: 2
        overrides: [{SMALL}, model.hidden_size=8, model.n_negative=4, train.max_steps=8, train.eval_every=4]
        {PUBLISHED}
"""
WITHOUT_DATA = f"""
      - label: LSTM on words
        experiment: ptb_word/lstm_small
        {PUBLISHED}
"""


@pytest.fixture
def declare(tmp_path):
    def write(text: str) -> None:
        (tmp_path / "results").mkdir(exist_ok=True)
        (tmp_path / "results" / "tables.yaml").write_text(text)

    return write


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_from_a_table_to_its_verdict(seqbench, declare, tmp_path):
    declare(TABLE + WITHOUT_DATA)
    code, said, errors = seqbench("reproduce", "tiny", "data_dir=data", "train.threads=1")
    assert code == 0, errors
    assert said.startswith(
        "tiny: 0 of 3 runs are in the ledger.\n"
        "Not here: LSTM on words, seed 0: its data are not prepared: seqbench prepare task=ptb_word source=<folder>.\n"
    )
    assert re.search(r"\nscoRNN +2\.2 +2\.\d+ +2  \w[\w ]+ \([+-]\d+\.\d %\)\nLSTM on words +2\.2 +– +not run\n", said)
    assert "results/tables/tiny.md\n" in said and "results/plots/tiny.svg\n" in said
    before = contents(tmp_path / "results")
    assert sum("/runs/" in path for path in before) == 2

    code, said, errors = seqbench("reproduce", "tiny", "data_dir=data")
    assert code == 0, errors
    assert "Job " not in said and said.startswith("tiny: 2 of 3 runs are in the ledger.\n")
    assert contents(tmp_path / "results") == before

    record = next((tmp_path / "results" / "runs").iterdir())
    kept = json.loads(record.read_text())
    record.unlink()
    for path in sorted((tmp_path / "outputs").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    code, said, errors = seqbench("reproduce", "tiny", "data_dir=data")
    assert code == 0, errors
    assert said.count("Job ") == 1
    assert json.loads(record.read_text())["metrics"] == kept["metrics"]


def test_what_would_run(seqbench, declare, tmp_path):
    declare(TABLE)
    code, said, errors = seqbench("reproduce", "tiny", "--dry", apart=True)
    assert code == 0, errors
    lines = [line.split() for line in said.splitlines()]
    assert said.startswith("tiny: 0 of 2 runs are in the ledger.\n")
    assert [line[:2] for line in lines[2:4]] == [["scoRNN", "0"], ["scoRNN", "1"]]
    assert "s a step here" in said and said.splitlines()[-1].startswith("Runs to make: 2, which take ")
    assert not (tmp_path / "outputs").exists()


def long(declare) -> None:
    """One run that takes some seconds, and saves no step by itself before its end."""
    changes = {"seeds: 2": "seeds: 1", "max_steps=8": "max_steps=700", "eval_every=4": "eval_every=700"}
    text = TABLE
    for old, new in changes.items():
        text = text.replace(old, new)
    declare(text)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, seqbench_in) -> dict:
    """The metrics of that run, uninterrupted."""
    place = tmp_path_factory.mktemp("whole")
    (place / "results").mkdir()
    long((place / "results" / "tables.yaml").write_text)
    code, _, errors = seqbench_in(place, "reproduce", "tiny")
    assert code == 0, errors
    return json.loads(next((place / "results" / "runs").iterdir()).read_text())["metrics"]


def test_a_budget_ends_at_a_checkpoint(seqbench, declare, tmp_path, whole):
    long(declare)
    code, said, errors = seqbench("reproduce", "tiny", f"budget={2 / 3600}")
    assert code == 0, errors
    assert re.search(r"\nOut of time at step [\d,]+, which is saved; the same command resumes\.\n", said), said
    assert "runs left: 1 of 1. The same command goes on.\n" in said
    (saved,) = tmp_path.glob("outputs/*/checkpoints/step-*.pt")
    assert not list(tmp_path.glob("results/runs/*.json"))
    code, said, errors = seqbench("reproduce", "tiny", "budget=1")
    assert code == 0, errors
    assert f"at step {int(saved.name.split('-')[1])}." in said and "Resuming" in said
    assert json.loads(next(tmp_path.glob("results/runs/*.json")).read_text())["metrics"] == whole


def test_a_budget_that_is_spent_starts_no_run(seqbench, declare, tmp_path):
    declare(TABLE)
    code, said, errors = seqbench("reproduce", "tiny", "budget=1e-9")
    assert code == 0, errors
    assert "runs left: 2 of 2." in said and "Job " not in said
    assert not list(tmp_path.glob("outputs/*/config.yaml"))


@pytest.mark.slow
def test_killed_it_goes_on(seqbench, declare, tmp_path, whole):
    long(declare)
    command = [sys.executable, "-m", "seqbench", "reproduce", "tiny", "checkpoint.every=20"]
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("outputs/*/checkpoints/step-*.pt")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    code, said, errors = seqbench("reproduce", "tiny")
    assert code == 0, errors
    assert "Resuming" in said
    assert json.loads(next(tmp_path.glob("results/runs/*.json")).read_text())["metrics"] == whole


def test_a_run_that_fails_leaves_the_others_their_turn(seqbench, declare, tmp_path):
    diverging = TABLE.replace("seeds: 2", "seeds: 1").replace("eval_every=4]", "eval_every=4, optimizer.lr=1e30]")
    sound = TABLE.partition("    rows:\n")[2].replace("scoRNN", "another").replace("seeds: 2", "seeds: 1")
    declare(diverging + sound.lstrip("\n"))
    code, said, errors = seqbench("reproduce", "tiny")
    assert code == 1 and "not finite" in errors
    assert len(list(tmp_path.glob("results/runs/*.json"))) == 1
    assert re.search(r"\nscoRNN +2\.2 +– +not run\nanother +2\.2 +2\.\d+ ", said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Name a table of results/tables.yaml, such as: seqbench reproduce copy."),
        (["tny"], "There is no table tny (did you mean tiny?); results/tables.yaml declares tiny."),
        (["tiny", "budget=0"], "budget is a number of hours above 0, not '0'."),
        (["tiny", "budget=soon"], "budget is a number of hours above 0, not 'soon'."),
        (["tiny", "only=TCN"], "No row has 'TCN' in its label; there are: scoRNN."),
        (
            ["tiny", "optimizer.lr=0.1"],
            "reproduce trains with the settings of its tables' rows; optimizer.lr is not for it.",
        ),
        (
            ["tiny", "train.thread=1"],
            "reproduce trains with the settings of its tables' rows; train.thread is not for it (did you mean "
            "train.threads?).",
        ),
        (["tiny", "--dri"], "--dri is not an option of seqbench reproduce; it takes -cd/--config-dir."),
    ],
)
def test_mistakes(seqbench, declare, tmp_path, arguments, said):
    declare(TABLE)
    code, _, errors = seqbench("reproduce", *arguments)
    assert (code, errors) == (2, f"seqbench: {said}\n")
    assert not (tmp_path / "outputs").exists()
