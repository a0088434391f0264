"""The mean of the weights at the last evaluations: which ones, and that training, testing and `eval` agree on them."""

import json

import pytest
import small_run
import torch

from seqbench.engine.checkpoint import Checkpoints
from seqbench.errors import UserError

SMALL = [*small_run.SMALL, "train.max_steps=8", "train.eval_every=2", "checkpoint.every=1", "train.select=last"]


def payload(value):
    return {"network": {"w": torch.full((2,), float(value)), "n": torch.tensor(value)}, "progress": {"step": value}}


def test_the_last_evaluations_are_averaged_and_others_dropped(tmp_path):
    checkpoints = Checkpoints(tmp_path, n_averaged=3)
    for step in range(1, 11):
        checkpoints.save(payload(step), step, evaluated=step % 2 == 0, best=step == 4)
    names = sorted("-".join(path.name.split("-")[:2]) for path in tmp_path.iterdir())
    steps = ["step-0000000009", "step-0000000010"]
    assert names == [
        "best-0000000004",
        *(f"evaluated-{step:010}" for step in (6, 8, 10)),
        *sorted(steps),
    ]
    found = checkpoints.load_selected("last")
    assert found["network"]["w"].tolist() == [8.0, 8.0] and found["network"]["w"].dtype == torch.float32
    assert int(found["network"]["n"]) == 10 and found["progress"]["step"] == 10
    assert checkpoints.load_selected("best")["network"]["w"].tolist() == [4.0, 4.0]
    assert Checkpoints(tmp_path).load_selected("last") is None


def test_what_is_no_parameter_stays_the_last(tmp_path):
    checkpoints = Checkpoints(tmp_path, n_averaged=2, parameters={"w"})
    for step in (1, 3):
        network = {**payload(step)["network"], "buffer": torch.full((2,), float(step))}
        checkpoints.save({**payload(step), "network": network}, step, evaluated=True, best=False)
    network = checkpoints.load_selected("last")["network"]
    assert network["w"].tolist() == [2.0, 2.0] and network["buffer"].tolist() == [3.0, 3.0]


def test_a_step_made_again_counts_once_and_damage_is_seen(tmp_path):
    checkpoints = Checkpoints(tmp_path, n_averaged=2)
    checkpoints.save(payload(1), 1, evaluated=True, best=True)
    checkpoints.save({**payload(1), "seconds": 7.0}, 1, evaluated=True, best=True)  # after a resume: other bytes
    checkpoints.save(payload(3), 2, evaluated=True, best=False)
    assert checkpoints.load_selected("last")["network"]["w"].tolist() == [2.0, 2.0]
    path = sorted(tmp_path.glob("evaluated-*.pt"))[0]
    path.unlink()  # not the other name of the same bytes
    path.write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"evaluated-0000000001-.* is damaged; force=true trains the run again"):
        checkpoints.load_selected("last")


def test_a_run_tests_the_mean_and_eval_finds_the_same(seqbench, tmp_path):
    tested = {}
    for n in (1, 3):
        code, _, wrong = seqbench("train", *SMALL, f"train.average_last={n}", f"output_dir=o{n}", f"results_dir=r{n}")
        assert code == 0, wrong
        record = json.loads(next((tmp_path / f"r{n}" / "runs").iterdir()).read_text())
        code, said, wrong = seqbench("eval", f"run={record['run_id']}", f"output_dir=o{n}", f"results_dir=r{n}")
        assert code == 0, wrong
        assert json.loads(said)["metrics"] == record["metrics"]["test"]
        assert record["selected_step"] == 8
        tested[n] = record["metrics"]["test"]["nll"]
    assert tested[1] != tested[3]
    assert len(list((tmp_path / "o3").glob("*/checkpoints/evaluated-*.pt"))) == 3
    assert list((tmp_path / "o1").glob("*/checkpoints/evaluated-*.pt")) == []


def test_averaging_needs_the_last(seqbench):
    code, _, said = seqbench("train", "train.average_last=2")
    assert (code, said) == (2, "seqbench: train.average_last=2 needs train.select=last, not best.\n")
