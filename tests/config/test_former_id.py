"""20 and 20.0 are one run, and a folder that the first edition named by another id is found."""

import json

import pytest
import small_run

from seqbench.config.compose import composed
from seqbench.config.identity import former_run_id, run_id

SMALL = [*small_run.SMALL, "optimizer=sgd", "train.max_steps=4", "train.eval_every=2"]


def ids(*settings):
    config = composed([*SMALL, *settings])
    return run_id(config), former_run_id(config)


def test_a_number_has_one_id_however_it_is_written():
    assert ids("optimizer.lr=1")[0] == ids("optimizer.lr=1.0")[0] == ids("optimizer.lr=1e0")[0]
    assert ids("optimizer.momentum=0")[0] == ids("optimizer.momentum=-0.0")[0]
    assert ids("optimizer.lr=1")[1] != ids("optimizer.lr=1.0")[1]  # in the first edition
    assert ids("optimizer.lr=1.5")[0] == ids("optimizer.lr=1.5")[1]
    assert ids("optimizer.lr=1")[0] != ids("optimizer.lr=2")[0]


@pytest.fixture
def former_run(seqbench, tmp_path):
    """The folder of a finished run that was begun under its former id: (that id, the settings, its metrics)."""
    settings = [*SMALL, "optimizer.lr=1", "checkpoint.every=1"]
    now, former = ids("optimizer.lr=1")
    assert now != former
    (tmp_path / "outputs" / former).mkdir(parents=True)
    code, _, errors = seqbench("train", *settings)
    assert code == 0, errors
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == [former]
    return former, settings, json.loads((tmp_path / "outputs" / former / "record.json").read_text())["metrics"]


def test_a_finished_run_with_the_former_id_is_found(seqbench, tmp_path, former_run):
    former, settings, _ = former_run
    code, said, errors = seqbench("train", *settings)
    assert code == 0 and f"Run {former} has finished" in said, errors
    assert [path.stem for path in (tmp_path / "results" / "runs").iterdir()] == [former]
    assert seqbench("eval", f"run={former}")[0] == seqbench("train", f"run={former}")[0] == 0
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == [former]


def test_a_run_begun_under_the_former_id_goes_on(seqbench, tmp_path, former_run):
    former, settings, metrics = former_run
    folder = tmp_path / "outputs" / former
    (folder / "record.json").unlink()
    (tmp_path / "results" / "runs" / f"{former}.json").unlink()
    for path in folder.glob("checkpoints/*0000000004-*"):
        path.unlink()
    code, said, errors = seqbench("train", *settings)
    assert code == 0 and f"Resuming {former} at step 3." in said, errors
    record = json.loads((folder / "record.json").read_text())
    assert (record["run_id"], record["metrics"]) == (former, metrics)
