"""Dashboards mirror metrics.jsonl and never stop a run."""

import socket

import pytest
import small_run
from said import rows

from seqbench.engine.mirror import Guarded, flat

SMALL = [*small_run.SMALL, "train.max_steps=4", "train.eval_every=2", "log.every=1"]
NO_LOGIN = {"WANDB_API_KEY": None, "WANDB_MODE": None, "NETRC": "/dev/null"}


def test_an_error_is_said_once_and_stops_nothing():
    class Broken:
        def log(self, row):
            raise ValueError("no\nmore")

        close = None

    said = []
    mirror = Guarded(Broken(), "wandb", said.append)
    for step in range(3):
        mirror.log({"step": step})
    mirror.close()
    assert said == ["wandb failed and is left out from here on: no"]


def test_an_interrupt_is_not_an_error():
    class Interrupted:
        def log(self, row):
            raise KeyboardInterrupt

        close = None

    with pytest.raises(KeyboardInterrupt):
        Guarded(Interrupted(), "wandb", print).log({})


def test_names_of_nested_metrics():
    assert flat({"step": 3, "loss": 1.0, "valid": {"nll": 2.0}}) == {"loss": 1.0, "valid/nll": 2.0}


def test_tensorboard_holds_every_row(seqbench, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    code, _, errors = seqbench("train", *SMALL, "log=tensorboard")
    assert code == 0, errors
    events = EventAccumulator(str(next(tmp_path.glob("outputs/*/tensorboard"))))
    events.Reload()
    losses = {event.step: event.value for event in events.Scalars("loss")}
    assert losses == pytest.approx({row["step"]: row["loss"] for row in rows(tmp_path) if "loss" in row})
    assert len(losses) == 4
    assert [event.step for event in events.Scalars("valid/nll")] == [2, 4]


def test_wandb_without_a_login_is_offline(seqbench, tmp_path):
    pytest.importorskip("wandb")
    code, said, errors = seqbench("train", *SMALL, "log=wandb", **NO_LOGIN)
    assert code == 0, errors
    assert "left out" not in said
    (offline,) = tmp_path.glob("outputs/*/wandb/offline-run-*")
    content = next(offline.glob("run-*.wandb")).read_bytes()
    assert b"grad_norm" in content and b"valid/nll" in content and b"n_negative" in content
    name = next((tmp_path / "outputs").iterdir()).name
    assert offline.name.endswith(name)


@pytest.mark.slow
def test_wandb_with_a_server_that_never_answers(seqbench, tmp_path):
    """It is asked, and the run goes on while it is silent still: it is W&B that gives up, after a second here."""
    pytest.importorskip("wandb")
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        there = {"WANDB_API_KEY": "a" * 40, "WANDB_BASE_URL": f"http://127.0.0.1:{server.getsockname()[1]}"}
        code, said, errors = seqbench("train", *SMALL, "log=wandb", **{**NO_LOGIN, **there, "WANDB_HTTP_TIMEOUT": "1"})
        server.settimeout(1)  # what has connected has done so by now
        connection, _ = server.accept()
        with connection:
            assert connection.recv(4) == b"POST"
    assert code == 0, errors
    assert "logging offline" in said
    assert len(rows(tmp_path)) == 6
    assert list(tmp_path.glob("outputs/*/wandb/offline-run-*"))


@pytest.mark.slow
def test_wandb_online_with_a_key_that_nobody_takes(seqbench, tmp_path):
    pytest.importorskip("wandb")
    there = {"WANDB_MODE": "online", "WANDB_API_KEY": "a" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    code, said, errors = seqbench("train", *SMALL, "log=wandb", **there)
    assert code == 0, errors
    assert "logging offline" in said and "left out" not in said
    (offline,) = tmp_path.glob("outputs/*/wandb/offline-run-*")
    assert b"grad_norm" in next(offline.glob("run-*.wandb")).read_bytes()


def test_a_project_that_wandb_does_not_take_is_refused(seqbench, tmp_path):
    pytest.importorskip("wandb")
    code, _, errors = seqbench("train", *SMALL, "log=wandb", "log.project=a/b")
    assert (code, errors) == (2, "seqbench: log.project='a/b' cannot have any of / \\ # ? % : in it.\n")
    assert not list(tmp_path.iterdir())


def test_the_mirrored_run_is_the_same_run(seqbench, tmp_path):
    plain, mirrored = (seqbench("show", *SMALL, f"log={log}")[1].splitlines() for log in ("plain", "wandb"))
    assert plain != mirrored and plain[0] == mirrored[0] and plain[0].startswith("run_id: ")
