"""Runs whose optimizer averages: what is evaluated, kept as the best and tested are the averages; training goes on from
the weights themselves."""

import json

import pytest
import torch

# so high a rate that the third evaluation is worse than the second, and the next, of an average, the best
SETTINGS = ["model=lstm", "model.hidden_size=8", "optimizer=nt_asgd", "optimizer.lr=20", "train.max_steps=12"]
SETTINGS += ["optimizer.nonmonotone_interval=0", "train.eval_every=3", "train.device=cpu"]
SETTINGS += ["task.delay=10", "task.train_size=200", "task.valid_size=20", "task.test_size=20"]


@pytest.mark.parametrize("select", ["best", "last"])
def test_averages_are_evaluated_and_kept_and_the_rest_is_trained(seqbench, tmp_path, select):
    code, _, errors = seqbench("train", *SETTINGS, f"train.select={select}")
    assert code == 0, errors
    record = json.loads(next(tmp_path.glob("results/runs/*.json")).read_text())
    history = record["curve"]["nll"]
    assert history[0] > history[1] < history[2] and min(history) == history[3]
    assert record["selected_step"] == 12
    assert record["metrics"]["valid"]["nll"] == history[-1]
    last, best = (
        torch.load(sorted(tmp_path.glob(f"outputs/*/checkpoints/{kind}-*.pt"))[-1], weights_only=True)
        for kind in ("step", "best")
    )
    assert last["progress"]["step"] == best["progress"]["step"] == 12
    found = [one["average"] for one in last["optimizer"]["main"]["state"].values()]
    assert len(found) == len(best["network"])
    for name, tensor in best["network"].items():
        assert any(torch.equal(tensor, average) for average in found), name
        assert not torch.equal(tensor, last["network"][name]), name
    code, said, errors = seqbench("eval", f"run={record['run_id']}", "train.device=cpu")
    assert code == 0, errors
    assert json.loads(said)["metrics"] == record["metrics"]["test"]


def test_the_mean_of_the_last_evaluations_is_that_of_averages(seqbench, tmp_path):
    code, _, errors = seqbench("train", *SETTINGS, "train.select=last", "train.average_last=2")
    assert code == 0, errors
    record = json.loads(next(tmp_path.glob("results/runs/*.json")).read_text())
    *_, before, last = record["curve"]["nll"]
    assert record["metrics"]["valid"]["nll"] < max(before, last)  # the weights themselves are far from both
    step = torch.load(sorted(tmp_path.glob("outputs/*/checkpoints/step-*.pt"))[-1], weights_only=True)
    evaluated = [torch.load(path, weights_only=True) for path in sorted(tmp_path.glob("outputs/*/*/evaluated-*.pt"))]
    assert [one["progress"]["step"] for one in evaluated] == [9, 12]
    averages = [one["average"] for one in step["optimizer"]["main"]["state"].values()]
    for name, tensor in evaluated[-1]["network"].items():
        assert any(torch.equal(tensor, average) for average in averages), name
