"""`seqbench analyze`: what it adds to a record, what shows it, and what it refuses."""

import json

import pytest

SMALL = ["task.delay=5", "task.train_size=40", "task.valid_size=20", "task.test_size=20", "model.hidden_size=4"]
SMALL += ["train.max_steps=4", "train.eval_every=2"]
RUN = ["experiment=copy_t400/lstm", *SMALL]
FEW = ["analysis=loss_modelling", "analysis.n_rows=4", "analysis.n_points=2"]
DECLARATION = """
tables:
  - name: pruned
    title: Pruned
    columns:
      - {heading: Linear, metric: loss_modelling.valid.linear, format: .3f, settings: {n_points: 2}}
    rows:
      - {label: LSTM, experiment: copy_t400/lstm, overrides: OVERRIDES}
"""


@pytest.fixture(scope="module")
def trained(seqbench_in, tmp_path_factory):
    """A folder with a finished run, and its id."""
    folder = tmp_path_factory.mktemp("analyze")
    code, _, errors = seqbench_in(folder, "train", *RUN)
    assert code == 0, errors
    (path,) = (folder / "outputs").iterdir()
    return folder, path.name


def test_the_record_keeps_it_and_show_prints_it(seqbench_in, trained):
    folder, run = trained
    for settings in (FEW, [*FEW, "analysis.n_points=3"], FEW):  # the last one in place of the first
        code, printed, errors = seqbench_in(folder, "analyze", f"run={run[:6]}", *settings)
        assert code == 0, errors
    told = json.loads(printed)
    assert told["analysis"] == "loss_modelling" and told["step"] in (2, 4)
    record = json.loads(seqbench_in(folder, "show", f"run={run}")[1])
    entries = record["analyses"]["loss_modelling"]
    assert [entry["settings"]["n_points"] for entry in entries] == [3, 2]
    assert entries[1]["numbers"] == told["numbers"]
    assert len(entries[1]["figures"]["valid"]["lines"]["quadratic_staged"]) == 3
    # trained again to the same numbers, the run keeps what was found of it
    assert seqbench_in(folder, "train", *RUN, "force=true")[0] == 0
    assert json.loads((folder / "results" / "runs" / f"{run}.json").read_text())["analyses"] == record["analyses"]


def test_tables_and_plots_show_it(seqbench_in, trained):
    folder, run = trained
    assert seqbench_in(folder, "analyze", f"run={run}", *FEW)[0] == 0
    record = json.loads((folder / "results" / "runs" / f"{run}.json").read_text())
    (entry,) = [one for one in record["analyses"]["loss_modelling"] if one["settings"]["n_points"] == 2]
    (folder / "results" / "tables.yaml").write_text(DECLARATION.replace("OVERRIDES", json.dumps(SMALL)))
    code, _, errors = seqbench_in(folder, "tables")
    assert code == 0, errors
    table = (folder / "results" / "tables" / "pruned.md").read_text()
    assert f"{entry['numbers']['valid.linear']:.3f} (n=1)" in table
    pytest.importorskip("matplotlib")
    code, printed, errors = seqbench_in(folder, "plots")
    assert code == 0, errors
    assert "results/plots/pruned.loss_modelling.svg" in printed
    drawing = (folder / "results" / "plots" / "pruned.loss_modelling.svg").read_bytes()
    assert b"quadratic" in drawing or len(drawing) > 10000  # letters may be drawn as paths
    assert seqbench_in(folder, "plots", "pruned")[0] == 0
    assert (folder / "results" / "plots" / "pruned.loss_modelling.svg").read_bytes() == drawing


def test_what_cannot_be_analyzed(seqbench_in, trained, tmp_path):
    folder, run = trained
    for arguments, sentence in [
        ([f"run={run}"], "Name an analysis as analysis=<name>: arma_coefficients, automaton, cell_structure"),
        ([f"run={run}", "analysis=los_modelling"], "los_modelling"),
        ([f"run={run}", *FEW, "analysis.n_row=4"], "n_row"),
        ([f"run={run}", *FEW, "analysis.sparsity=2"], "analysis.sparsity is between 0 and 1, not 2"),
        ([f"run={run}", *FEW, "seed=1"], "seed belongs to the run"),
        ([*FEW], "Name a run as run=<id>"),
    ]:
        code, printed, errors = seqbench_in(folder, "analyze", *arguments)
        assert (code, printed) == (2, "") and sentence in errors and "Traceback" not in errors, errors
    code, _, errors = seqbench_in(tmp_path, "train", *RUN, *FEW)
    assert (code, errors) == (2, "seqbench: analysis= is for seqbench analyze run=<id>, once the run has finished.\n")
    assert not list(tmp_path.iterdir())


def test_a_run_that_has_not_finished(seqbench_in, trained, tmp_path):
    folder, run = trained
    (tmp_path / "outputs").mkdir()
    copied = tmp_path / "outputs" / run
    copied.symlink_to(folder / "outputs" / run)
    moved = copied.resolve() / "record.json"
    content = moved.read_text()
    moved.unlink()
    try:
        code, _, errors = seqbench_in(tmp_path, "analyze", f"run={run}", *FEW)
    finally:
        moved.write_text(content)
    assert code == 2 and f"Run {run} has not finished; seqbench train run={run} resumes it." in errors


def test_keep_all_keeps_every_step(seqbench, tmp_path):
    kept = {}
    for keep in ("last", "all"):
        settings = [*RUN, f"checkpoint.keep={keep}", "checkpoint.every=1", f"output_dir={keep}"]
        assert seqbench("train", *settings)[0] == 0
        kept[keep] = [path.name.split("-")[1] for path in sorted((tmp_path / keep).glob("*/checkpoints/step-*"))]
    assert [int(step) for step in kept["all"]] == [1, 2, 3, 4]
    assert [int(step) for step in kept["last"]] == [3, 4]
    assert [path.name for path in (tmp_path / "last").iterdir()] == [path.name for path in (tmp_path / "all").iterdir()]
