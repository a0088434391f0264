"""Copies of one small run, as it has finished and as it is without its record."""

import shutil

import pytest
from damaged import SMALL


@pytest.fixture(scope="package")
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


@pytest.fixture
def whole_run(finished_run, tmp_path):
    """A copy of the finished run: the record in its ledger."""
    shutil.copytree(finished_run, tmp_path, dirs_exist_ok=True)
    return next((tmp_path / "results" / "runs").iterdir())
