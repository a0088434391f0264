"""What ends a run from outside, beside Ctrl-C (test_interrupt.py): a pipe that ends, `kill` of a sweep, a terminal that
is closed, a killed parent. The step is saved, a sentence says so, and nothing is left behind."""

import itertools
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from small_run import SMALL

LONG = [*SMALL, "log.every=1", "checkpoint.every=null", "train.eval_every=100000", "train.max_steps=100000"]
COMMAND = [sys.executable, "-m", "seqbench", "train"]
SENTENCE = "seqbench: {} at step {:,}, which is saved; the same command resumes."
linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
pytestmark = pytest.mark.usefixtures("stop_signals_are_heard")


def saved_step(folder: Path) -> int:
    (path,) = folder.glob("outputs/*/checkpoints/step-*.pt")  # though none was due
    step = torch.load(path, weights_only=True)["progress"]["step"]
    assert 0 < step < 100000
    return step


def wait(condition, process=None, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    """Once it has trained some steps."""
    process = subprocess.Popen(
        [*COMMAND, *LONG, *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait(lambda: sum(path.stat().st_size for path in folder.glob("outputs/*/metrics.jsonl")) > 2000, process)
    return process


@pytest.mark.parametrize("sweep", [[], ["-m", "seed=0,1"]], ids=["run", "sweep"])
def test_a_pipe_that_ends_saves_the_step(tmp_path, sweep):
    """`seqbench train ... | head -4`"""
    command = f"{shlex.join([*COMMAND, *LONG, *sweep])} | head -4 > /dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.stdout == "130\n"
    step = saved_step(tmp_path)
    assert done.stderr == SENTENCE.format("Standard output was closed", step) + "\n"


@pytest.mark.slow
def test_a_pipe_that_ends_ends_several_processes(tmp_path):
    command = f"{shlex.join([*COMMAND, *LONG, 'train.nproc=2'])} | head -4 > /dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.stdout == "130\n"
    assert done.stderr == (
        "seqbench: Standard output was closed; the last checkpoint is kept, and the same command resumes.\n"
    )


def test_a_full_disk_behind_stdout_is_not_the_runs(tmp_path):
    with open("/dev/full", "w") as full:
        command = [*COMMAND, *LONG]
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, timeout=200)
    assert (done.returncode, done.stderr) == (
        130,
        SENTENCE.format("Standard output was closed", saved_step(tmp_path)) + "\n",
    )


ONE_RUN, A_SWEEP = [], ["-m", "seed=0,1"]
STOPPED = [  # each pair of two of the three once
    (ONE_RUN, "the parent", signal.SIGTERM),
    (ONE_RUN, "the group", signal.SIGHUP),
    (A_SWEEP, "the parent", signal.SIGHUP),
    (A_SWEEP, "the group", signal.SIGTERM),
]
OTHERS = itertools.product((ONE_RUN, A_SWEEP), ("the parent", "the group"), (signal.SIGTERM, signal.SIGHUP))


@pytest.mark.parametrize(
    ("sweep", "whom", "number"),
    [*STOPPED, *(pytest.param(*case, marks=pytest.mark.slow) for case in OTHERS if case not in STOPPED)],
)
def test_a_signal_saves_the_step(tmp_path, number, whom, sweep):
    process = start(tmp_path, *sweep)
    if whom == "the group":
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert (process.returncode, said) == (130, SENTENCE.format("Interrupted", saved_step(tmp_path)) + "\n")
    assert not list(tmp_path.glob("outputs/*/launch-*"))


def test_a_hangup_under_nohup_is_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start(tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    os.killpg(process.pid, signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    process.kill()
    process.communicate()


def processes_in(folder: Path) -> list[int]:
    """Those that work in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cwd").resolve() == folder and int(path.name) != os.getpid():
                found.append(int(path.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_job_outlives_a_sweep_that_joblib_runs(tmp_path, number):
    process = start(tmp_path, "-m", "seed=0,1,2", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    wait(lambda: len(list(tmp_path.glob("outputs/*/metrics.jsonl"))) == 2, process)
    process.send_signal(number)  # to the parent alone
    process.wait(timeout=60)
    wait(lambda: not processes_in(tmp_path), seconds=20)
    for folder in tmp_path.glob("outputs/*/checkpoints"):
        assert list(folder.glob("step-*.pt"))
    process.stderr.close()


@pytest.mark.slow
@linux
def test_what_killed_launches_left_is_removed(tmp_path):
    process = start(tmp_path, "train.nproc=2")
    process.kill()
    process.communicate()
    (run,) = (tmp_path / "outputs").iterdir()
    left = run / f"launch-{process.pid}"
    assert [path.name for path in run.glob("launch-*")] == [left.name]
    wait(lambda: not processes_in(tmp_path), seconds=20)
    (run / "launch-1").mkdir()  # of a process that is there
    process = start(tmp_path)
    wait(lambda: not left.exists(), process)
    process.kill()
    process.communicate()
    assert (run / "launch-1").exists()


def test_a_sweep_comes_back_to_a_run_that_another_process_had(seqbench, tmp_path):
    small = [*SMALL, "train.max_steps=2"]
    first = seqbench("show", *small)[1].splitlines()[0].removeprefix("run_id: ").strip("'")
    folder = tmp_path / "outputs" / first
    folder.mkdir(parents=True)
    with FileLock(folder / "lock"):
        process = subprocess.Popen(
            [*COMMAND, *small, "-m", "seed=0,1"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait(lambda: list(tmp_path.glob("outputs/*/record.json")), process)  # the other one's
    said, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    assert f"Another process is running {first}; this sweep comes back to it at its end.\n" in said
    assert f"Waiting for run {first}, which another process may still be running.\n" in said
    assert (folder / "record.json").exists()
    assert len(list(tmp_path.glob("results/runs/*.json"))) == 2


@pytest.mark.slow
@linux
def test_a_lost_peer_under_a_torchrun_of_ones_own_is_one_sentence(tmp_path):
    def worker(rank: int) -> int | None:
        for pid in processes_in(tmp_path):
            try:
                environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"RANK={rank}".encode() in environment and f"LOCAL_RANK={rank}".encode() in environment:
                return pid
        return None

    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--log-dir=logs"]
    command = [*torchrun, "--redirects=3", "-m", "seqbench", "train", *LONG]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait(lambda: sum(path.stat().st_size for path in tmp_path.glob("outputs/*/metrics.jsonl")) > 2000, process)
    os.kill(worker(1), signal.SIGKILL)
    process.wait(timeout=60)
    (said,) = tmp_path.glob("logs/**/0/stderr.log")
    assert "Traceback" not in said.read_text()
    told = [line for line in said.read_text().splitlines() if line.startswith("seqbench: ")]
    assert told in (
        [],  # torchrun was faster
        ["seqbench: Another process was lost; the last checkpoint is kept, and the same command resumes."],
    )
