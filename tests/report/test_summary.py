from __future__ import annotations

from seqbench.report.record import Record
from seqbench.report.summary import summary_of_groups


def test_the_best_group_comes_first_by_the_mean_over_its_seeds(make_record):
    groups = {
        "model=gru": [Record(**make_record("aaa", nll=0.04))],
        "model=lstm": [Record(**make_record("bbb", nll=0.01)), Record(**make_record("ccc", seed=1, nll=0.05))],
    }
    assert summary_of_groups(groups) == (
        "copy, on test:\n"
        "            seeds  accuracy   nll\n"
        "model=lstm      2  0.125 ± 0  0.03 ± 0.028\n"
        "model=gru       1  0.125      0.04"
    )


def test_other_data_have_a_table_of_their_own(make_record):
    other = make_record("bbb")
    other["task_version"]["name"] = "adding"
    other["metrics"]["test"] = {"mse": 0.1, "n_targets": 10}
    text = summary_of_groups({"task=copy": [Record(**make_record("aaa"))], "task=adding": [Record(**other)]})
    assert [line for line in text.splitlines() if line.endswith(":")] == ["adding, on test:", "copy, on test:"]
    assert "mse" in text.partition("copy")[0] and "mse" not in text.partition("copy")[2]


def test_a_metric_that_was_not_finite_is_a_dash(make_record):
    record = Record(**make_record("aaa"))
    record.metrics["test"]["nll"] = None
    assert summary_of_groups({"": [record]}).splitlines()[-1].split() == ["1", "0.125", "–"]


def test_of_no_run_there_is_nothing_to_say():
    assert summary_of_groups({}) == ""
