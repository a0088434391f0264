"""Several processes prepare once; a killed one leaves nothing that looks prepared.

The train file is a named pipe, so the test holds the preparing process in the middle of its reading.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from seqbench.data.text.build import ensure_prepared, prepare
from seqbench.data.text.store import open_prepared

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


def finish(process: subprocess.Popen) -> list[str]:
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return output.splitlines()


@pytest.fixture
def pipe(raw):
    """The train file turned into a pipe; its text is to be written by the test."""
    text = (raw / "train.txt").read_bytes()
    (raw / "train.txt").unlink()
    os.mkfifo(raw / "train.txt")
    return raw / "train.txt", text


def test_two_processes_prepare_once(corpus, raw, pipe, tmp_path, client):
    path, text = pipe
    first = client(corpus, tmp_path / "data", raw)
    assert first.stdout.readline() == f"tiny: reading {path}\n"
    others = [client(corpus, tmp_path / "data", raw) for _ in range(2)]
    for other in others:
        assert other.stdout.readline() == "tiny: waiting for another process that prepares it\n"
    path.write_bytes(text)  # read once: a second reader would wait for ever
    sha256 = ensure_prepared(corpus, tmp_path / "data", raw).sha256
    assert finish(first)[-1] == sha256
    for other in others:
        lines = finish(other)
        assert lines[-1] == sha256 and not any("reading" in line for line in lines)


def test_a_preparation_that_is_refused_leaves_those_who_wait_their_turn(corpus, raw, pipe, tmp_path, client):
    """It removes the lock and the folder that it made, and still not two of them prepare at a time."""
    path, text = pipe
    first = client(corpus, tmp_path / "data", raw)
    assert first.stdout.readline() == f"tiny: reading {path}\n"
    others = [client(corpus, tmp_path / "data", raw) for _ in range(2)]
    for other in others:
        assert other.stdout.readline() == "tiny: waiting for another process that prepares it\n"
    path.write_bytes(b"another text\n")
    assert finish(first)[-1].startswith(f"ERROR: {path} is not the train split of the tiny corpus")
    path.write_bytes(text)  # read once: a second reader would wait for ever
    lines = [finish(other) for other in others]
    sha256 = ensure_prepared(corpus, tmp_path / "data", None).sha256
    assert [one[-1] for one in lines] == [sha256, sha256]
    assert sum(any("reading" in line for line in one) for one in lines) == 1


def test_a_killed_preparation_leaves_no_set(corpus, raw, pipe, tmp_path, client):
    path, text = pipe
    process = client(corpus, tmp_path / "data", raw)
    assert process.stdout.readline() == f"tiny: reading {path}\n"
    with path.open("wb") as writer:
        writer.write(text[:20])
        writer.flush()
        process.kill()
        process.wait()
    process.communicate()
    assert (tmp_path / "data" / ".tiny.building").exists()
    assert not (tmp_path / "data" / "tiny").exists()
    path.unlink()
    path.write_bytes(text)
    assert ensure_prepared(corpus, tmp_path / "data", str(raw)).n_tokens("train") == 21
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [".tiny.lock", "tiny"]


@pytest.mark.parametrize("moved", range(5))
@pytest.mark.parametrize("again", [False, True])
def test_an_interrupted_move_leaves_no_manifest(moved, again, corpus, raw, tmp_path, monkeypatch):
    place, move, moves = tmp_path / "data", Path.replace, []
    sha256 = prepare(corpus, tmp_path / "expected", str(raw)).sha256
    if again:
        prepare(corpus, place, str(raw))

    def interrupted(path, target):
        if len(moves) == moved:
            raise KeyboardInterrupt
        moves.append(path.name)
        return move(path, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(corpus, place, str(raw))
    assert open_prepared(corpus, place) is None
    monkeypatch.setattr(Path, "replace", move)
    assert ensure_prepared(corpus, place, str(raw)).sha256 == sha256
