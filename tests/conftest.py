"""What tests share: the real data's folder, the command line as a subprocess."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    place = Path(os.environ.get("SEQBENCH_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (place / "ptb" / "ptb.train.txt").exists():
        pytest.skip(f"real Penn Treebank not at {place}")
    return place


@pytest.fixture
def seqbench(tmp_path):
    """`seqbench(*arguments)` runs the command line in an empty folder: (exit code, stdout, stderr)."""

    def call(*arguments: str, cwd: Path = tmp_path, env: dict | None = None):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **(env or {})}
        command = [sys.executable, "-m", "seqbench", *arguments]
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240)
        return done.returncode, done.stdout, done.stderr

    return call
