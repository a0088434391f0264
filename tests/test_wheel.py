"""The wheel holds all that a run needs: conf/ included, no checkout beside it."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder into which the built wheel was unpacked by pip."""
    place = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)], cwd=ROOT, check=True)
    (wheel,) = place.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "seqbench/conf/config.yaml" in names
    assert "seqbench/models/cells/time_loop/cpp/recurrence.cpp" in names  # without it a run would fall back, and pass
    assert {"seqbench/optim/cpp/adafactor.cpp", "seqbench/optim/cpp/sums.h"} <= set(names)
    assert {"seqbench/report/site/templates/run.html", "seqbench/report/site/templates/style.css"} <= set(names)
    assert not [name for name in names if name.startswith(("tests", "results", "scripts"))]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place / "site"), wheel]
    subprocess.run(command, check=True)
    return place / "site"


def test_train_from_the_wheel(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}

    def call(*arguments):
        done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = call(sys.executable, "-c", "from seqbench.config.schema import folder; print(folder())").strip()
    assert where == str(installed / "seqbench" / "conf")
    script = str(installed / "bin" / "seqbench")
    settings = ["task.delay=10", "task.train_size=40", "task.valid_size=20", "task.test_size=20", "train.max_steps=2"]
    assert "Memoryless baseline" in call(script, "train", *settings)
    record = json.loads(next((tmp_path / "results" / "runs").glob("*.json")).read_text())
    assert record["commit"] is None and record["steps"] == 2
