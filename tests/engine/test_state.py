"""What a checkpoint is held against before a run goes on from it."""

from types import SimpleNamespace

import pytest
import small_run

from seqbench.commands.evaluate import evaluate
from seqbench.config.compose import composed
from seqbench.contracts.task_version import same_data
from seqbench.engine import assemble, selected
from seqbench.engine import run as engine_run
from seqbench.engine.distributed import World
from seqbench.engine.runtime import restore
from seqbench.errors import UserError


def test_other_data_are_refused():
    run = SimpleNamespace(task=SimpleNamespace(version={"name": "text8", "version": 1, "data_sha256": "b" * 64}))
    payload = {"task": {"name": "text8", "version": 1, "data_sha256": "a" * 64}}
    said = r"other data \(name text8, version 1, data_sha256 aaaaaaaaaaaa\) than are there now \(.*bbbbbbbbbbbb\): name"
    with pytest.raises(UserError, match=said):
        restore(run, payload)


def test_a_remark_or_a_key_that_is_not_there_names_no_other_data():
    now = {"name": "pairs", "version": 1, "data_sha256": "a" * 64, "n_train": 400, "remark": "not the published pairs"}
    assert same_data({"name": "pairs", "version": 1, "data_sha256": "a" * 64}, now)
    assert same_data({**now, "remark": "of old"}, now)
    assert not same_data({**now, "n_train": 401}, now)


def test_a_run_is_evaluated_on_its_own_data(tmp_path, monkeypatch, capsys):
    places = [f"{place}={tmp_path}" for place in ("output_dir", "results_dir")]
    config = composed([*small_run.SMALL, "train.max_steps=2", "train.eval_every=2", *places])
    name = engine_run.train(config, World(config.train))["run_id"]
    assemble_task = assemble.assemble_task

    def of_other_data(config):
        task = assemble_task(config)
        task.version = {**task.version, "data_sha256": "b" * 64}
        return task

    evaluate([f"run={name}", *places])
    capsys.readouterr()
    monkeypatch.setattr(selected, "assemble_task", of_other_data)
    with pytest.raises(
        UserError, match=r"The run began with other data .*: name the folder of those as data_dir=<folder>\.$"
    ):
        evaluate([f"run={name}", *places])
    assert capsys.readouterr().out == ""
