"""Damaged and unwritable files, a full disk, a run in use: each an exact sentence, with nothing lost or left."""

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import pytest
import small_run
import torch
from filelock import FileLock
from said import left, one_sentence, run_id

from seqbench.data.text.corpora import CORPORA
from seqbench.data.text.store import FORMAT
from seqbench.report.ledger import write_record

SMALL = [*small_run.SMALL, "train.max_steps=4", "train.eval_every=2", "checkpoint.every=1", "log.every=1"]


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


def save_as_checkpoint(folder: Path, payload, step: int = 4) -> Path:
    """Under a name with its digest, in place of the one of that step."""
    for path in (folder / "checkpoints").glob(f"step-{step:010d}-*.pt"):
        path.unlink()
    draft = folder / "draft"
    draft.write_bytes(payload) if isinstance(payload, bytes) else torch.save(payload, draft)
    digest = hashlib.sha256(draft.read_bytes()).hexdigest()[:12]
    return draft.rename(folder / "checkpoints" / f"step-{step:010d}-{digest}.pt")


class Bomb:
    def __reduce__(self):
        return open, ("exploded", "w")


def changed(payload, part, **change):
    return {**payload, part: {**payload[part], **change}}


FOREIGN = {
    "a pickle": (lambda payload: pickle.dumps(Bomb()), "is damaged"),
    "a pickle by torch": (lambda payload: {**payload, "network": Bomb()}, "is damaged"),
    "text": (lambda payload: b"text", "is damaged"),
    "a list": (lambda payload: [payload], "is damaged"),
    "a string": (lambda payload: "payload", "is damaged"),
    "a missing part": (lambda payload: {"network": payload["network"]}, "is damaged"),
    "an unknown part": (lambda payload: {**payload, "more": 1}, "is damaged"),
    "an unknown key": (lambda payload: changed(payload, "progress", more=1), "is damaged"),
    "another type": (lambda payload: changed(payload, "progress", history="low"), "is damaged"),
    "another run": (lambda payload: {**payload, "run_id": "0123456789ab"}, "is of another run ('0123456789ab')"),
    "a step of long ago": (lambda payload: changed(payload, "progress", step=-3), "is of an impossible step (-3)"),
    "another step": (lambda payload: changed(payload, "progress", step=5), "is of an impossible step (5)"),
    "another size": (
        lambda payload: {**payload, "network": {name: w.new_zeros(3) for name, w in payload["network"].items()}},
        "has weights of another network",
    ),
    "other weights": (
        lambda payload: changed(payload, "network", more=torch.zeros(1)),
        "has weights of another network",
    ),
    "no optimizer": (lambda payload: {**payload, "optimizer": {}}, "is of another optimizer"),
}


@pytest.mark.parametrize(("change", "fault"), FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_checkpoint_with_a_right_digest_falls_back(seqbench, unfinished_run, change, fault):
    before = (unfinished_run / "metrics.jsonl").read_bytes()
    last = sorted((unfinished_run / "checkpoints").glob("step-*.pt"))[-1]
    path = save_as_checkpoint(unfinished_run, change(torch.load(last, weights_only=True)))
    shown = path.relative_to(unfinished_run.parents[1])
    code, said, errors = seqbench("train", *SMALL)
    assert (code, errors) == (0, "")
    assert f"Checkpoint {shown} {fault}; going back to the one before.\n" in said
    assert f"Resuming {unfinished_run.name} at step 3.\n" in said
    assert (unfinished_run / "metrics.jsonl").read_bytes() == before
    assert not (unfinished_run.parents[1] / "exploded").exists()


def test_a_checkpoint_of_an_earlier_version_is_resumed(seqbench, unfinished_run):
    before = (unfinished_run / "metrics.jsonl").read_bytes()
    for path in (unfinished_run / "checkpoints").glob("step-*.pt"):
        payload = torch.load(path, weights_only=True)
        del payload["run_id"], payload["metrics"]
        save_as_checkpoint(unfinished_run, payload, payload["progress"]["step"])
    with open(unfinished_run / "metrics.jsonl", "a") as file:
        file.write('{"step": 5}\n{"ste')
    code, said, errors = seqbench("train", *SMALL)
    assert (code, errors) == (0, "")
    assert f"Resuming {unfinished_run.name} at step 4.\n" in said
    assert (unfinished_run / "metrics.jsonl").read_bytes() == before


ROWS = {  # of steps 1, 2 (two), 3, 4 (two); the checkpoints are of steps 3 and 4
    "the last two cut": (lambda lines: lines[:4], 3),
    "the last cut in half": (lambda lines: [*lines[:5], lines[5][:20]], 3),
    "one missing in the middle": (lambda lines: [lines[0], *lines[2:]], None),
    "another run's": (lambda lines: [line.replace(b"0", b"1") for line in lines], None),
    "zeros": (lambda lines: [b"\0" * 2000], None),
    "no text": (lambda lines: [b"\xff\xfe", *lines], None),
    "empty": (lambda lines: [], None),
    "more than saved": (lambda lines: [*lines, b'{"step": 9}\n', b'{"st'], 4),
}


@pytest.mark.parametrize(("change", "resumes_at"), ROWS.values(), ids=ROWS)
def test_rows_that_are_not_those_of_the_checkpoint(seqbench, unfinished_run, change, resumes_at):
    path = unfinished_run / "metrics.jsonl"
    before = path.read_bytes()
    path.write_bytes(b"".join(change(before.splitlines(keepends=True))))
    name, checkpoints = unfinished_run.name, sorted((unfinished_run / "checkpoints").glob("step-*.pt"))
    first, last = (checkpoint.relative_to(unfinished_run.parents[1]) for checkpoint in checkpoints)
    code, said, errors = seqbench("train", *SMALL)
    going_back = f"outputs/{name}/metrics.jsonl is not as checkpoint {last} left it; going back to the one before.\n"
    assert (going_back in said) == (resumes_at != 4)
    if resumes_at is None:
        assert (code, one_sentence(errors)) == (
            2,
            f"outputs/{name}/metrics.jsonl is not as checkpoint {first} left it; force=true starts over.",
        )
        assert seqbench("train", *SMALL, "force=true")[0] == 0
    else:
        assert (code, errors) == (0, "")
        assert f"Resuming {name} at step {resumes_at}.\n" in said
    assert path.read_bytes() == before


def test_rows_that_are_missing(seqbench, unfinished_run):
    (unfinished_run / "metrics.jsonl").unlink()
    code, _, errors = seqbench("train", *SMALL)
    assert code == 2 and one_sentence(errors).endswith("left it; force=true starts over.")


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


@pytest.fixture
def whole_run(finished_run, tmp_path):
    """A copy of the finished run: the record in its ledger."""
    shutil.copytree(finished_run, tmp_path, dirs_exist_ok=True)
    return next((tmp_path / "results" / "runs").iterdir())


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        cut,
        lambda path: path.write_bytes(b"\xff" + path.read_bytes()),
        lambda path: path.write_text(path.read_text().replace('"n_copied": 10', '"n_copied": 11')),
        lambda path: path.write_text(path.read_text().replace('"torch": "', '"torch": "9')),
    ],
    ids=["missing", "empty", "cut", "no text", "another config", "another version"],
)
def test_a_ledgers_record_is_written_again_from_the_runs_own(seqbench, whole_run, damage):
    before = whole_run.read_bytes()
    damage(whole_run)
    assert not whole_run.exists() or whole_run.read_bytes() != before
    there = whole_run.exists()
    code, said, errors = seqbench("train", *SMALL)
    assert (code, errors) == (0, "")
    assert whole_run.read_bytes() == before
    told = f"results/runs/{whole_run.name} was not the run's own record and is written again.\n"
    assert (told in said) == there


def test_evaluations_that_only_the_ledger_has_stay(seqbench, whole_run):
    record = json.loads(whole_run.read_text())
    record["evaluations"] = {"unheard": {"test": [{"category": "later", "metrics": {"ppl": 2.0}}]}}
    write_record(record, whole_run.parent)
    before = whole_run.read_bytes()
    code, said, _ = seqbench("train", *SMALL)
    assert code == 0 and "written again" not in said
    assert whole_run.read_bytes() == before


@pytest.mark.parametrize("damage", [cut, lambda path: path.write_text(path.read_text().replace("finished", "running"))])
def test_a_run_whose_own_record_is_not_whole_has_not_finished(seqbench, whole_run, damage):
    before = json.loads(whole_run.read_text())
    folder = whole_run.parents[2] / "outputs" / whole_run.stem
    damage(folder / "record.json")
    code, said, errors = seqbench("train", *SMALL)
    assert (code, errors) == (0, "")
    assert f"Resuming {whole_run.stem} at step 4.\n" in said
    after = json.loads((folder / "record.json").read_text())
    assert (after["metrics"], after["curve"]) == (before["metrics"], before["curve"])


def test_show_refuses_a_record_that_is_no_text(seqbench, whole_run):
    whole_run.write_bytes(b"\xff\xfe")
    code, said, errors = seqbench("show", f"run={whole_run.stem}")
    assert (code, said) == (2, "")
    assert one_sentence(errors).startswith(
        f"results/runs/{whole_run.name} cannot be read as a run's record: 'utf-8' codec"
    )


def test_a_table_is_written_whole_or_not_at_all(seqbench, whole_run):
    results = whole_run.parents[1]
    (results / "tables.yaml").write_text(
        "tables: [{name: copy, title: Copying, columns: [{heading: Steps, metric: steps, format: ',.0f'}], rows: []}]"
    )
    assert seqbench("tables")[0] == 0
    before = (results / "tables" / "copy.md").read_bytes()
    code, _, said = seqbench("tables", largest_file=50)
    assert (code, one_sentence(said)) == (2, "results/tables/copy.md: File too large.")
    assert (results / "tables" / "copy.md").read_bytes() == before
    assert sorted(path.name for path in (results / "tables").iterdir()) == ["copy.md", "copy.tex"]


def test_a_path_that_stdouts_encoding_does_not_have(seqbench, whole_run):
    results = whole_run.parents[1].rename(whole_run.parents[2] / "Übung")
    (results / "tables.yaml").write_text(
        "tables: [{name: copy, title: Copying, columns: [{heading: Steps, metric: steps, format: ',.0f'}], rows: []}]"
    )
    code, said, errors = seqbench("tables", 'results_dir="Übung"', PYTHONIOENCODING="ascii")
    assert (code, errors) == (0, "")
    assert said == "\\xdcbung/tables/copy.md\n\\xdcbung/tables/copy.tex\n"
