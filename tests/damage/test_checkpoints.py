"""Checkpoints and rows that are cut, foreign or missing: each an exact sentence, with nothing lost or left."""

import hashlib
import pickle
from pathlib import Path

import pytest
import torch
from damaged import SMALL, cut
from said import one_sentence


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
