"""`train.patience` ends a run once valid has stopped improving, and the run is then finished."""

import json

from small_run import SMALL

from seqbench.config.compose import composed
from seqbench.config.identity import run_id

EVERY_STEP = [*SMALL, "train.max_steps=20", "train.eval_every=1", "log.every=1"]
UNMOVED = [*EVERY_STEP, "optimizer.lr=1e-30"]  # every evaluation is as the first one


def record(folder):
    (path,) = (folder / "results" / "runs").glob("*.json")
    return json.loads(path.read_text())


def test_a_run_without_a_new_best_ends_after_its_patience(seqbench, tmp_path):
    seqbench("train", *UNMOVED, "train.patience=3")
    assert record(tmp_path)["steps"] == 1 + 3


def test_a_run_that_improves_goes_on(seqbench, tmp_path):
    seqbench("train", *EVERY_STEP, "optimizer.lr=1e-4", "train.patience=2")
    assert record(tmp_path)["steps"] == 20


def test_such_a_run_is_finished(seqbench, tmp_path):
    seqbench("train", *UNMOVED, "train.patience=2")
    _, said, _ = seqbench("train", *UNMOVED, "train.patience=2")
    assert "has finished" in said
    assert record(tmp_path)["steps"] == 1 + 2


def test_patience_is_part_of_the_identity_once_it_is_given():
    first, second = (run_id(composed([*SMALL, *more])) for more in ([], ["train.patience=3"]))
    assert first == run_id(composed([*SMALL, "train.patience=null"])) != second
