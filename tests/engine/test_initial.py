"""init=<id>: a run that begins with another's selected weights, under an id of its own."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seqbench.commands.tables import compose_row
from seqbench.config.check import check
from seqbench.config.compose import composed
from seqbench.config.identity import run_id
from seqbench.errors import ConfigError
from seqbench.report.declaration import Row
from seqbench.report.record import read_record
from seqbench.report.selection import belongs, runs_of

SMALL = ["task=copy", "task.delay=5", "task.train_size=40", "task.valid_size=20", "task.test_size=20", "model=lstm"]
SMALL += ["model.hidden_size=4", "train.max_steps=6", "train.eval_every=2", "checkpoint.every=1"]
FROZEN = [*SMALL, "optimizer=sgd", "optimizer.lr=0"]


@pytest.fixture(scope="module")
def first(seqbench_in, tmp_path_factory):
    """A folder with a finished run, and the run's id."""
    folder = tmp_path_factory.mktemp("init")
    code, _, errors = seqbench_in(folder, "train", *SMALL)
    assert code == 0, errors
    (path,) = (folder / "outputs").iterdir()
    return folder, path.name


def weights(folder: Path, kind: str) -> dict:
    path = sorted((folder / "checkpoints").glob(f"{kind}-*.pt"))[-1]
    return torch.load(path, weights_only=True)["network"]


def test_it_begins_with_the_selected_weights(seqbench_in, first):
    """At a learning rate of zero they stay."""
    folder, run = first
    code, printed, errors = seqbench_in(folder, "train", *FROZEN, f"init={run}")
    assert code == 0, errors
    assert f"The weights are those of run {run}." in printed
    record = next(record for record in ledger(folder) if record.config.get("init") == run)
    assert record.run_id == run_id(composed([*FROZEN, f"init={run}"])) != run_id(composed(FROZEN))
    selected, mine = weights(folder / "outputs" / run, "best"), weights(folder / "outputs" / record.run_id, "step")
    assert all(torch.equal(value, mine[name]) for name, value in selected.items())
    assert seqbench_in(folder, "eval", f"run={record.run_id}")[0] == 0
    # the file of its first steps is gone: resumed, it does not begin anew
    (folder / "outputs" / record.run_id / "record.json").unlink()
    code, printed, errors = seqbench_in(folder, "train", f"run={record.run_id}")
    assert code == 0 and "Resuming" in printed and "The weights are those" not in printed, errors


def ledger(folder: Path):
    return [read_record(path) for path in sorted((folder / "results" / "runs").glob("*.json"))]


@pytest.mark.slow
def test_two_processes_begin_alike(seqbench_in, first):
    folder, run = first
    code, _, errors = seqbench_in(folder, "train", *FROZEN, f"init={run}", "seed=5", "train.nproc=2")
    assert code == 0, errors
    record = next(record for record in ledger(folder) if record.seed == 5)
    selected, mine = weights(folder / "outputs" / run, "best"), weights(folder / "outputs" / record.run_id, "step")
    assert all(torch.equal(value, mine[name]) for name, value in selected.items())


def test_what_it_cannot_begin_from(seqbench_in, first, tmp_path):
    folder, run = first
    for settings, sentence in [
        (
            [f"init={run}", "model.hidden_size=5"],
            f"The weights of init={run} are not those of this model: for backbone.",
        ),
        (["init=0123456789ab"], "init=0123456789ab names a run that is not in"),
        (
            [f"init={run[:6]}"],
            f"init is a run's id, all twelve digits of it, or the name of an experiment, not '{run[:6]}'",
        ),
        (["init=copy_t400/no_such"], "no_such"),
    ]:
        code, _, errors = seqbench_in(folder, "train", *SMALL, *settings, "seed=9")
        assert code == 2 and sentence in errors and errors.count("\n") == 1, errors


def test_a_saved_config_names_no_other_place():
    config = composed(SMALL)
    config.init = "../../elsewhere"
    with pytest.raises(ConfigError, match="init is a run's id of twelve hexadecimal digits"):
        check(config)


def test_an_experiment_stands_for_its_run_of_the_same_seed():
    for seed in (0, 3):
        config = composed(["experiment=ptb_word/awd_lstm_finetuned", f"seed={seed}"])
        assert config.init == run_id(composed(["experiment=ptb_word/awd_lstm", f"seed={seed}"]))
        assert config.optimizer["nonmonotone_interval"] is None
    with pytest.raises(ConfigError, match="init"):
        composed(["init=awd"])


def test_a_row_stands_for_runs_that_began_from_their_own_seed(seqbench_in, first):
    folder, run = first
    record = next(record for record in ledger(folder) if record.config.get("init") == run)
    content = json.loads((folder / "results" / "runs" / f"{record.run_id}.json").read_text())
    assert content["config"]["init"] == run
    row = Row("LSTM", "copy_t400/lstm", overrides=["init=copy_t400/lstm"])
    ids = {seed: compose_row("copy_t400/lstm", [*row.overrides, f"seed={seed}"])["init"] for seed in (0, 1)}
    config = compose_row("copy_t400/lstm", row.overrides)

    def made(seed: int, init: str):
        return replace(record, run_id=f"{seed}{init}", seed=seed, config={**config, "seed": seed, "init": init})

    records = [made(0, ids[0]), made(1, ids[1]), made(2, ids[0])]
    assert [one.seed for one in runs_of(row, records, compose_row)] == [0, 1]
    assert not belongs(records[0], compose_row("copy_t400/lstm", []))
    assert runs_of(Row("LSTM", "copy_t400/lstm"), records, compose_row) == []
