"""`seqbench compact`: the run that it makes, what both records tell, and what it refuses."""

import json
import shutil

import pytest
import torch

from seqbench.commands import compact as command
from seqbench.config.compose import composed
from seqbench.config.identity import run_id
from seqbench.engine.checkpoint import Checkpoints

SMALL = ["task=copy", "task.delay=5", "task.train_size=40", "task.valid_size=20", "task.test_size=20"]
SMALL += ["embedding=learned", "embedding.d_embed=5", "optimizer=sgd", "optimizer.lr=1"]
SMALL += ["train.max_steps=4", "train.eval_every=2", "train.select=last"]
OVERRIDES = [*SMALL, "model=pruned_lstm", "model.hidden_size=6", "model.n_layers=2", "model.dropout=0.1"]
PRUNED = ["experiment=copy_t400/lstm", *OVERRIDES]
DECLARATION = """
tables:
  - name: pruned
    title: Pruned
    columns:
      - {heading: Units, metric: compaction.open_1, format: .0f}
      - {heading: Speed-up, metric: compaction.batch_1.speedup, format: .2f}
      - {heading: Published, published: compaction.batch_1.speedup}
    rows:
      - {label: Ours, experiment: copy_t400/lstm, overrides: OVERRIDES}
      - {label: Theirs, experiment: null, published: {compaction.batch_1.speedup: {value: 20, source: Theirs, tag: P}}}
"""


@pytest.fixture(scope="module")
def trained(seqbench_in, tmp_path_factory):
    """A folder with a finished run whose gates are closed at every third place, and its id."""
    folder = tmp_path_factory.mktemp("compact")
    code, _, errors = seqbench_in(folder, "train", *PRUNED)
    assert code == 0, errors
    (path,) = (folder / "outputs").iterdir()
    last = sorted((path / "checkpoints").glob("step-*.pt"))[-1]
    payload = torch.load(last, weights_only=True)
    for index in range(3):
        payload["network"][f"backbone.gates.{index}.log_alpha"][::3] = -4.0
    last.unlink()
    Checkpoints(path / "checkpoints", print).save(payload, step=4, best=False)
    metrics = json.loads(seqbench_in(folder, "eval", f"run={path.name}")[1])["metrics"]
    valid = json.loads(seqbench_in(folder, "eval", f"run={path.name}", "split=valid")[1])["metrics"]
    for place in (path / "record.json", folder / "results" / "runs" / f"{path.name}.json"):
        record = json.loads(place.read_text())
        record["metrics"] |= {"test": metrics, "valid": valid}
        place.write_text(json.dumps(record))
    return folder, path.name


@pytest.fixture(scope="module")
def compacted(seqbench_in, trained):
    folder, run = trained
    code, printed, errors = seqbench_in(folder, "compact", f"run={run[:6]}")
    assert code == 0, errors
    return folder, run, json.loads(printed[printed.index("\n{") :]), printed


def record_of(folder, run):
    record = json.loads((folder / "results" / "runs" / f"{run}.json").read_text())
    assert record == json.loads((folder / "outputs" / run / "record.json").read_text())
    return record


def test_it_makes_a_run_that_begins_from_the_first(seqbench_in, compacted):
    folder, run, told, printed = compacted
    assert told["init"] == run and f"The weights are those of run {run}." in printed
    small, whole = record_of(folder, told["run_id"]), record_of(folder, run)
    settings = ["model=lstm", "model.hidden_size=[4,4]", "model.n_layers=2", "model.dropout=0.1", f"init={run}"]
    still = ["embedding.d_embed=3", "optimizer.lr=0", "train.max_steps=1", "train.eval_every=null", "train.select=best"]
    assert told["run_id"] == small["run_id"] == run_id(composed([*SMALL, *settings, *still]))
    assert small["parameters"]["total"] == 10 * 3 + 4 * 4 * (3 + 4 + 2) + 4 * 4 * (4 + 4 + 2) + 4 * 9 + 9
    for split in ("valid", "test"):
        assert small["metrics"][split]["nll"] == pytest.approx(whole["metrics"][split]["nll"], rel=1e-6)
    assert whole["metrics"]["test"]["open_1"] == 4
    code, printed, errors = seqbench_in(folder, "eval", f"run={small['run_id']}")
    assert code == 0 and json.loads(printed)["metrics"] == small["metrics"]["test"], errors


def test_both_records_tell_of_sizes_and_times(compacted):
    folder, run, told, _ = compacted
    (entry,) = record_of(folder, run)["analyses"]["compaction"]
    assert record_of(folder, told["run_id"])["analyses"]["compaction"] == [entry]
    numbers = entry["numbers"]
    assert numbers == told["compaction"] and entry["step"] == 1
    assert [numbers[f"open_{place}"] for place in ("inputs", 1, 2)] == [3, 4, 4]
    assert numbers["closed_units"] == pytest.approx(1 / 3) and numbers["difference"] < 1e-12
    assert numbers["macs"] == 16 * (3 + 4) + 16 * (4 + 4) and numbers["large.macs"] == 24 * (5 + 6) + 24 * (6 + 6)
    assert numbers["batch_20.with_softmax.speedup"] > 0


def test_a_table_shows_it(seqbench_in, compacted):
    folder, _, told, _ = compacted
    (folder / "results" / "tables.yaml").write_text(DECLARATION.replace("OVERRIDES", json.dumps(OVERRIDES)))
    code, _, errors = seqbench_in(folder, "tables")
    assert code == 0, errors
    table = (folder / "results" / "tables" / "pruned.md").read_text()
    assert f"{told['compaction']['batch_1.speedup']:.2f}" in table and "20 [1] |" in " ".join(table.split())


def test_what_is_left_can_train_on(seqbench_in, compacted):
    """The same weights, and another schedule; or fewer units, those with the largest norms."""
    folder, run, _, _ = compacted
    small = [*SMALL, "model=lstm", "model.n_layers=2", "embedding.d_embed=3", f"init={run}"]
    code, printed, errors = seqbench_in(folder, "train", *small, "model.hidden_size=[4,2]", "train.max_steps=2")
    assert code == 0 and f"The weights are those of run {run}." in printed, errors
    code, _, errors = seqbench_in(folder, "train", *small, "model.hidden_size=[5,4]")
    said = "has 3 inputs and layers of 4, 4 units open, and this model 3 inputs and layers of 5, 4 units"
    assert (code, errors) == (2, f"seqbench: init={run} names a run that {said}.\n")


def test_what_it_refuses(seqbench_in, compacted, tmp_path):
    folder, run, told, _ = compacted
    unfinished = folder / "outputs" / run
    for arguments, sentence in [
        ([f"run={told['run_id']}"], f"Run {told['run_id']} has a model without gates, such as pruned_lstm has."),
        ([], "Name a run as run=<id>; seqbench list shows those of the ledger."),
        ([f"run={run}", "seed=1"], "compact takes run, output_dir, results_dir, data_dir, source, train.device, "),
        ([f"run={run}", "results_dir=file"], "file/runs: Not a directory."),
    ]:
        (folder / "file").touch()
        code, printed, errors = seqbench_in(folder, "compact", *arguments)
        assert (code, printed) == (2, "") and errors.startswith(f"seqbench: {sentence}"), errors
        assert errors.count("\n") == 1
    shutil.copytree(unfinished, tmp_path / "outputs" / run)
    (tmp_path / "outputs" / run / "record.json").unlink()
    code, _, errors = seqbench_in(tmp_path, "compact", f"run={run}")
    assert (code, errors) == (2, f"seqbench: Run {run} has not finished; seqbench train run={run} resumes it.\n")
    assert not (tmp_path / "results").exists()


def test_with_all_of_a_layer_closed_there_is_no_network(seqbench, tmp_path):
    code, _, errors = seqbench("train", *PRUNED, "model.penalty=1e4", "optimizer.lr=10")
    assert code == 0, errors
    (path,) = (tmp_path / "outputs").iterdir()
    code, printed, errors = seqbench("compact", f"run={path.name}")
    assert (code, printed) == (2, "") and errors.startswith(f"seqbench: Run {path.name} has no open "), errors
    assert [one.name for one in (tmp_path / "outputs").iterdir()] == [path.name]


def test_other_outputs_are_refused_before_anything_is_written(trained, monkeypatch, tmp_path):
    folder, run = trained
    shutil.copytree(folder / "outputs" / run, tmp_path / "outputs" / run)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("seqbench.learners.compaction.largest_difference", lambda *given: 2e-6)
    with pytest.raises(command.RunError, match=f"outputs of {run} differ by up to 2e-06: nothing is written"):
        command.compact([f"run={run}"])
    assert [one.name for one in (tmp_path / "outputs").iterdir()] == [run]
    record = {"precision": "fp32", "device": "cpu", "curve": {"steps": [1], "nll": [1.0]}, "run_id": run}
    before, after = ({**record, "metrics": {split: {"nll": nll} for split in ("valid", "test")}} for nll in (2.0, 2.1))
    command._require_same_metric(before, before)
    command._require_same_metric(before, {**after, "precision": "bf16"})
    with pytest.raises(command.RunError, match=r"^The nll on valid is 2\.1, and 2\.0 with the closed units"):
        command._require_same_metric(before, after)
