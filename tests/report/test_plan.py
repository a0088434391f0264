from __future__ import annotations

import pytest

from seqbench.errors import UserError
from seqbench.report.declaration import Row, Table
from seqbench.report.plan import plan
from seqbench.report.record import Record


def planned(rows, records=(), only=None, compose=None):
    made = plan([Table("t", "T", [], rows)], list(records), compose, only)
    return made.n_declared, [(job.row.label, job.seed) for job in made.jobs]


@pytest.fixture
def compose(config):
    """A config of their own for the experiments `lstm` and `gru`."""
    return lambda experiment, overrides: {**config, "experiment": experiment}


@pytest.fixture
def record(make_record):
    def make(run_id, seed, experiment="lstm", status="finished"):
        made = make_record(run_id, seed=seed)
        made["config"]["experiment"] = experiment
        return Record(**(made | {"status": status}))

    return make


def test_each_row_has_as_many_runs_as_it_declares_seeds(compose):
    rows = [Row("LSTM", "lstm", seeds=3), Row("GRU", "gru"), Row("of Bai", None)]
    assert planned(rows, compose=compose) == (4, [("LSTM", 0), ("LSTM", 1), ("LSTM", 2), ("GRU", 0)])


def test_what_the_ledger_has_is_not_run_again(compose, record):
    rows = [Row("LSTM", "lstm", seeds=3)]
    assert planned(rows, [record("aaa", 1)], compose=compose) == (3, [("LSTM", 0), ("LSTM", 2)])
    assert planned(rows, [record("aaa", 7)], compose=compose) == (3, [("LSTM", 0), ("LSTM", 1)])
    more = [record(f"aa{seed}", seed) for seed in range(5)]
    assert planned(rows, more, compose=compose) == (5, [])


def test_a_run_that_diverged_is_none(compose, record):
    found = planned([Row("LSTM", "lstm")], [record("aaa", 0, status="diverged")], compose=compose)
    assert found == (1, [("LSTM", 0)])


def test_rows_of_one_config_share_a_run(compose):
    assert planned([Row("LSTM", "lstm"), Row("again", "lstm")], compose=compose) == (1, [("LSTM", 0)])


def test_the_rows_meant(compose):
    rows = [Row("LSTM", "lstm"), Row("GRU", "gru", partial="2 of 9 epochs")]
    assert planned(rows, only="gru", compose=compose) == (1, [("GRU", 0)])
    assert planned(rows, only="2 of 9", compose=compose) == (1, [("GRU", 0)])
    with pytest.raises(
        UserError, match=r"No row has 'TCN' in its label; there are: LSTM, GRU \(partial: 2 of 9 epochs\)\."
    ):
        planned(rows, only="TCN", compose=compose)


def test_a_jobs_settings_are_a_command_line(compose):
    row = Row("LSTM", "copy/lstm", ["optimizer.lr=0.1"])
    (job,) = plan([Table("t", "T", [], [row])], [], compose).jobs
    assert job.settings == ["experiment=copy/lstm", "optimizer.lr=0.1", "seed=0"]
