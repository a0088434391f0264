"""Folders that are damaged, unwritable, full or in use: each an exact sentence, with nothing lost or left."""

import json

import pytest
from damaged import SMALL
from filelock import FileLock
from said import left, one_sentence, run_id

from seqbench.data.text.corpora import CORPORA
from seqbench.data.text.store import FORMAT


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


def test_a_refused_command_with_force_loses_nothing(seqbench, unfinished_run):
    before = {path: path.read_bytes() for path in left(unfinished_run)}
    code, _, said = seqbench("train", *SMALL, "force=true", "results_dir=/dev/null/x")
    assert (code, one_sentence(said)) == (2, "Cannot write /dev/null/x: Not a directory.")
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


def test_a_full_disk_of_the_results_is_named_and_leaves_no_draft(seqbench, unfinished_run):
    """The record is larger than any other file that the end of a run writes."""
    for path in (unfinished_run / "checkpoints").glob("step-*3-*.pt"):
        path.unlink()
    code, _, said = seqbench("train", *SMALL, largest_file=2000)
    place = unfinished_run.parents[1]
    assert (code, one_sentence(said)) == (
        2,
        f"results/runs/{unfinished_run.name}.json cannot be saved: File too large; the last good checkpoint is kept, "
        "and with room the same command resumes.",
    )
    assert left(place / "results") == []
    assert seqbench("train", *SMALL)[0] == 0


@pytest.mark.parametrize("place", ["output_dir", "results_dir"])
def test_a_link_to_nothing_is_named(seqbench, tmp_path, place):
    (tmp_path / "link").symlink_to("nowhere")
    code, _, said = seqbench("train", *SMALL, f"{place}=link")
    assert (code, one_sentence(said)) == (2, "Cannot write link: it is a link to nowhere, which does not exist.")
    assert left(tmp_path) == []


def test_results_that_cannot_be_written_are_refused_at_the_start(seqbench, tmp_path):
    (tmp_path / "results" / "runs").mkdir(parents=True)
    (tmp_path / "results" / "runs").chmod(0o555)
    code, _, said = seqbench("train", *SMALL, obeys_permissions=True)
    assert (code, one_sentence(said)) == (2, "Cannot write results/runs: Permission denied.")
    assert left(tmp_path) == []
