"""Ctrl-C: the step is saved, the command says so, and the run goes on from there to the same end."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from small_run import SMALL

from seqbench.engine.interrupt import stop_signals

LONG = [*SMALL, "log.every=1", "checkpoint.every=null", "train.eval_every=700", "train.max_steps=700"]
COMMAND = [sys.executable, "-m", "seqbench", "train"]


pytestmark = pytest.mark.usefixtures("stop_signals_are_heard")


def interrupted(tmp_path, number, *extra) -> tuple[int, str]:
    """Exit code and output of a run that gets the signal after some steps."""
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen([*COMMAND, *LONG, *extra], cwd=tmp_path, start_new_session=True, **pipe)
    deadline = time.monotonic() + 120
    while sum(path.stat().st_size for path in tmp_path.glob("outputs/*/metrics.jsonl")) < 2000:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    if number == signal.SIGINT:  # a terminal sends it to all
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    said, _ = process.communicate(timeout=120)
    return process.returncode, said


@pytest.fixture(scope="module")
def whole(tmp_path_factory, seqbench_in) -> bytes:
    """The metrics.jsonl of the run that nobody interrupts."""
    place = tmp_path_factory.mktemp("whole")
    code, _, errors = seqbench_in(place, "train", *LONG)
    assert code == 0, errors
    return next(place.glob("outputs/*/metrics.jsonl")).read_bytes()


@pytest.mark.parametrize(("number", "by"), [(signal.SIGINT, "settings"), (signal.SIGTERM, "id")])
def test_the_step_is_saved(seqbench, tmp_path, whole, number, by):
    code, said = interrupted(tmp_path, number)
    (run,) = (tmp_path / "outputs").iterdir()
    (saved,) = run.glob("checkpoints/step-*.pt")  # though none was due
    step = torch.load(saved, weights_only=True)["progress"]["step"]
    assert 0 < step < 700
    assert (code, said.splitlines()[-1]) == (
        130,
        f"seqbench: Interrupted at step {step:,}, which is saved; the same command resumes.",
    )
    assert "Traceback" not in said
    listed = seqbench("list")[1].splitlines()
    assert listed[0] == "Not finished (seqbench train run=<id> resumes one):"
    assert listed[-1].split() == [run.name, "copy/scornn", "0", f"{step:,}"]
    code, said, errors = seqbench("train", *(LONG if by == "settings" else [f"run={run.name[:6]}"]))
    assert code == 0, errors
    assert f"Resuming {run.name} at step {step}." in said
    assert (run / "metrics.jsonl").read_bytes() == whole


def test_a_sweeps_run_is_saved_too(tmp_path):
    code, said = interrupted(tmp_path, signal.SIGINT, "-m", "seed=0,1")
    assert code == 130 and len(list(tmp_path.glob("outputs/*/checkpoints/step-*.pt"))) == 1
    assert "Interrupted at step" in said.splitlines()[-1] and "Traceback" not in said
    assert not list(tmp_path.glob("outputs/*/launch-*"))


def test_a_second_signal_stops_at_once():
    with stop_signals(heeded=True) as stopping:
        assert not stopping()
        os.kill(os.getpid(), signal.SIGINT)
        assert stopping()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_that_was_ignored_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stop_signals(heeded=True) as stopping:
        os.kill(os.getpid(), signal.SIGINT)
        assert not stopping()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
