"""What tests share: the real data's folder, the command line as a subprocess."""

import ctypes
import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import real_data as real_data_files
import torch
import warm

from seqbench.models.cells.time_loop import gated, native
from seqbench.optim import native as adafactor

ROOT = Path(__file__).parents[1]
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2  # linux/prctl.h, linux/capability.h
torch.set_num_threads(1)
os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}  # of what the tests start
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before anything imports triton


@pytest.fixture(scope="session", autouse=True)
def _compiled() -> None:
    """Before a test looks at what a command says: at the first use on a machine it tells of the compiling, too."""
    for library in (native.library, gated.library, adafactor.library):
        library()


@pytest.fixture(autouse=True)
def _as_it_was():
    """A run within a test's own process sets these for all of it."""
    yield
    torch.set_num_threads(1)
    torch.set_flush_denormal(False)
    torch.set_deterministic_debug_mode("default")


@pytest.fixture
def stop_signals_are_heard():
    """Also where the tests run in a script's background, which ignores Ctrl-C, or under nohup, which ignores SIGHUP."""
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of all real data, which has the Penn Treebank."""
    return real_data_files.folder("ptb", "ptb.train.txt").parent


@pytest.fixture(scope="session")
def seqbench_in():
    """`seqbench_in(folder, *arguments)` runs the command line there: (exit code, stdout, stderr).

    `apart`: as `python -m seqbench` instead of a fork of a warm process, as is all with `env`, set on top of the
    environment (None: unset), and with `obeys_permissions`, without root's right to pass over them; joblib starts no
    jobs in a fork. `largest_file`: in bytes; a longer write fails.
    """

    def call(folder: Path, *arguments: str, apart=False, obeys_permissions=False, largest_file=None, **env: str | None):
        if not apart and not obeys_permissions and not env:
            return warm.call(folder, arguments, largest_file)

        def before_start():
            libc = ctypes.CDLL(None)
            for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
                libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)

        done = subprocess.run(
            [sys.executable, "-m", "seqbench", *arguments],
            cwd=folder,
            env={name: value for name, value in {**os.environ, **env}.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=240,
            preexec_fn=before_start if obeys_permissions else None,
        )
        return done.returncode, done.stdout, done.stderr

    return call


@pytest.fixture
def seqbench(tmp_path, seqbench_in):
    """The command line in the test's own, empty folder."""
    return functools.partial(seqbench_in, tmp_path)
