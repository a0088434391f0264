"""Damaged and unwritable files, a full disk, a run in use: each an exact sentence, with nothing lost or left."""

import json
import shutil
from pathlib import Path

import pytest
import small_run
from filelock import FileLock
from said import left, one_sentence, run_id

from seqbench.data.text.corpora import CORPORA
from seqbench.data.text.store import FORMAT

SMALL = [*small_run.SMALL, "train.max_steps=4", "train.eval_every=2", "checkpoint.every=1"]


def test_a_data_folder_with_the_wrong_file(seqbench, tmp_path):
    (tmp_path / "raw").mkdir()
    for split in ("train", "valid", "test"):
        (tmp_path / "raw" / f"ptb.{split}.txt").write_text("no it was n't black monday\nbut\n")
    before = left(tmp_path)
    code, _, said = seqbench("train", "task=ptb_word", "data_dir=data", "source=raw")
    assert code == 2
    assert one_sentence(said) == (
        "raw/ptb.train.txt is not the train split of the Penn Treebank: it has 2 lines where 42,068 are expected; "
        "name a folder with the published files as source=<folder>."
    )
    assert left(tmp_path) == before


def test_a_corrupted_token_file(seqbench, tmp_path):
    folder = tmp_path / "data" / "ptb_word"
    folder.mkdir(parents=True)
    names = ("train.bin", "valid.bin", "test.bin", "vocabulary.txt")
    for name in names:
        (folder / name).write_bytes(b"12345678")
    manifest = {
        "format": FORMAT,
        "version": CORPORA["ptb_word"].version,
        "splits": {
            split: {"source_sha256": CORPORA["ptb_word"].splits[split].sha256} for split in CORPORA["ptb_word"].splits
        },
        "files": {name: {"n_bytes": 8, "sha256": "0" * 64} for name in names},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    before = left(tmp_path)
    code, _, said = seqbench("train", "task=ptb_word", "data_dir=data")
    assert code == 2
    assert one_sentence(said) == (
        "data/ptb_word/train.bin is damaged (its checksum is not its manifest's); make it anew with `seqbench prepare "
        "task=ptb_word data_dir=data force=true`."
    )
    assert left(tmp_path) == before


def test_a_read_only_folder(seqbench, tmp_path):
    name = run_id(seqbench, *SMALL)
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs").chmod(0o555)
    code, _, said = seqbench("train", *SMALL, obeys_permissions=True)
    assert (code, one_sentence(said)) == (2, f"Cannot write outputs/{name}: Permission denied.")
    assert left(tmp_path) == []


def test_two_processes_on_one_run(seqbench, tmp_path):
    name = run_id(seqbench, *SMALL)
    (tmp_path / "outputs" / name).mkdir(parents=True)
    with FileLock(tmp_path / "outputs" / name / "lock"):
        code, _, said = seqbench("train", *SMALL)
    assert (code, one_sentence(said)) == (
        1,
        f"Another process is running {name}; wait for it, or change a setting.",
    )


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory, seqbench_in):
    """A folder in which a run of SMALL has finished."""
    place = tmp_path_factory.mktemp("finished")
    code, _, errors = seqbench_in(place, "train", *SMALL)
    assert code == 0, errors
    return place


@pytest.fixture
def unfinished_run(finished_run, tmp_path):
    """A copy of the finished run that lacks its record, so that the same command goes on: the run's folder."""
    shutil.copytree(finished_run, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "results")
    folder = next((tmp_path / "outputs").iterdir())
    (folder / "record.json").unlink()
    return folder


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_truncated_checkpoint_falls_back(seqbench, unfinished_run):
    before = (unfinished_run / "metrics.jsonl").read_bytes()
    last = sorted((unfinished_run / "checkpoints").glob("step-*.pt"))[-1]
    cut(last)
    code, said, errors = seqbench("train", *SMALL)
    assert code == 0, errors
    shown = last.relative_to(unfinished_run.parents[1])
    assert f"Checkpoint {shown} is damaged; going back to the one before.\n" in said
    assert f"Resuming {unfinished_run.name} at step 3.\n" in said
    assert (unfinished_run / "metrics.jsonl").read_bytes() == before


def test_every_checkpoint_truncated(seqbench, unfinished_run):
    for path in (unfinished_run / "checkpoints").glob("step-*.pt"):
        cut(path)
    before = (unfinished_run / "metrics.jsonl").read_bytes()
    code, _, said = seqbench("train", *SMALL)
    assert (code, one_sentence(said)) == (
        2,
        f"Every checkpoint in outputs/{unfinished_run.name}/checkpoints is damaged; force=true starts over.",
    )
    assert (unfinished_run / "metrics.jsonl").read_bytes() == before
    assert seqbench("train", *SMALL, "force=true")[0] == 0
    assert (unfinished_run / "metrics.jsonl").read_bytes() == before


def test_a_refused_command_with_force_loses_nothing(seqbench, unfinished_run):
    before = {path: path.read_bytes() for path in left(unfinished_run)}
    code, _, said = seqbench("train", *SMALL, "force=true", "results_dir=/dev/null/x")
    assert (code, one_sentence(said)) == (2, "Cannot write /dev/null/x/runs: Not a directory.")
    assert {path: path.read_bytes() for path in left(unfinished_run)} == before


def test_a_full_disk(seqbench, tmp_path):
    """Simulated by a limit on a file's size: the system refuses the write half-way, as a full disk does."""
    name = run_id(seqbench, *SMALL)
    code, _, said = seqbench("train", *SMALL, largest_file=5000)
    assert (code, one_sentence(said)) == (
        2,
        f"outputs/{name} cannot be saved: File too large; the last good checkpoint is kept, and with room the same "
        "command resumes.",
    )
    assert list((tmp_path / "outputs" / name / "checkpoints").iterdir()) == []
    code, said, errors = seqbench("train", *SMALL)
    assert code == 0, errors
