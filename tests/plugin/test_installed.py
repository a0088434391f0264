"""A package that pip has installed and that has the entry point seqbench.plugins: nobody names it on a command line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from said import one_sentence

PACKAGE = Path(__file__).with_name("my_lab")
ROOT = Path(__file__).parents[2]
EXPERIMENT = "experiment=parity/averages"
BY_CLASS = ["task=parity", "model._target_=my_lab.averages.Averages", "model.hidden_size=8", "train.max_steps=2"]
PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "lab-of-mine"
version = "1.2"

[project.entry-points."seqbench.plugins"]
my_lab = "my_lab"

[tool.hatch.build.targets.wheel]
packages = ["my_lab"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder into which pip has installed it."""
    place = tmp_path_factory.mktemp("installed")
    source = place / "source"
    shutil.copytree(PACKAGE, source / "my_lab", ignore=shutil.ignore_patterns("__pycache__"))
    (source / "pyproject.toml").write_text(PYPROJECT)
    options = ["--quiet", "--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(place / "site"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "site"


@pytest.fixture
def call(site, seqbench):
    """The command line with that folder on Python's path."""

    def called(*arguments):
        return seqbench(*arguments, PYTHONPATH=f"{ROOT}:{site}", PYTHONDONTWRITEBYTECODE="1")

    return called


def test_it_is_known_by_its_entry_point(call, site, tmp_path):
    code, said, errors = call("train", EXPERIMENT)
    assert code == 0 and "Test of run" in said, errors
    (record,) = [json.loads(path.read_text()) for path in (tmp_path / "results" / "runs").iterdir()]
    name, checksum = record["run_id"], record["config"]["plugins"]
    assert list(checksum) == ["my_lab"] and record["versions"]["my_lab"] == "1.2"
    assert call("show", EXPERIMENT)[1].startswith(f"run_id: {name}\n")

    for path in (tmp_path / "outputs" / name / "checkpoints").glob("step-*6-*.pt"):
        path.unlink()  # as if it had been killed after an earlier save
    (tmp_path / "outputs" / name / "record.json").unlink()
    code, said, errors = call("train", f"run={name}")
    assert code == 0 and "Resuming" in said, errors
    (again,) = [json.loads(path.read_text()) for path in (tmp_path / "results" / "runs").iterdir()]
    assert again["metrics"] == record["metrics"]

    file = site / "my_lab" / "parity.py"
    before = file.read_text()
    file.write_text(f"{before}# changed\n")
    try:
        other = yaml.safe_load(call("show", EXPERIMENT)[1])
        code, _, said = call("train", f"run={name}")
    finally:
        file.write_text(before)
    assert other["run_id"] != name and other["plugins"] != checksum
    assert code == 2 and one_sentence(said).startswith(f"my_lab has changed since run {name} was composed (sha256 ")
    assert call("show", EXPERIMENT)[1].startswith(f"run_id: {name}\n")


def test_its_class_by_itself(call, tmp_path):
    code, said, errors = call("train", *BY_CLASS)
    assert code == 0 and "Test of run" in said, errors
    (record,) = [json.loads(path.read_text()) for path in (tmp_path / "results" / "runs").iterdir()]
    assert record["config"]["model"]["rate"] == 0.1 and list(record["config"]["plugins"]) == ["my_lab"]


def test_what_is_not_installed_is_not_allowed(seqbench):
    code, _, said = seqbench("show", *BY_CLASS, PYTHONPATH=str(ROOT))
    assert code == 2 and "parity" in one_sentence(said)
