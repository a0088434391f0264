"""A package that is not installed with seqbench, from the command line: my_lab, copied into the folder of each test."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from said import left, one_sentence, run_id

PACKAGE = Path(__file__).with_name("my_lab")
PLUGIN = "plugins=[my_lab]"
EXPERIMENT = "experiment=parity/averages"
ALLOW = "; if you trust that package, plugins=[my_lab] allows it."


@pytest.fixture(scope="module")
def trained(tmp_path_factory, seqbench_in):
    """A folder with my_lab and a finished run of its experiment."""
    place = tmp_path_factory.mktemp("trained")
    shutil.copytree(PACKAGE, place / "my_lab", ignore=shutil.ignore_patterns("__pycache__"))
    code, said, errors = seqbench_in(place, "train", EXPERIMENT, PLUGIN)
    assert code == 0 and "Test of run" in said, errors
    return place


@pytest.fixture
def folder(trained, tmp_path):
    """The test's own copy; `run` is what the run's folder is called."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def run_of(folder):
    (path,) = (folder / "outputs").iterdir()
    return path.name


def test_the_checksum_is_in_the_record_and_the_code_is_not_needed_to_list_it(folder, seqbench):
    name = run_of(folder)
    record = json.loads((folder / "results" / "runs" / f"{name}.json").read_text())
    saved = yaml.safe_load((folder / "outputs" / name / "config.yaml").read_text())
    assert list(saved["plugins"]) == ["my_lab"] and record["config"]["plugins"] == saved["plugins"]
    shutil.rmtree(folder / "my_lab")
    code, said, errors = seqbench("list")
    assert code == 0 and "parity/averages" in said, errors


def test_it_resumes_to_the_same_numbers(folder, seqbench):
    name = run_of(folder)
    (whole,) = [json.loads(path.read_text()) for path in (folder / "results" / "runs").iterdir()]
    for path in (folder / "outputs" / name / "checkpoints").glob("step-*6-*.pt"):
        path.unlink()  # as if it had been killed after an earlier save
    (folder / "outputs" / name / "record.json").unlink()
    code, said, errors = seqbench("train", f"run={name}", PLUGIN)
    assert code == 0 and "Resuming" in said, errors
    again = json.loads((folder / "results" / "runs" / f"{name}.json").read_text())
    assert again["metrics"] == whole["metrics"]


def test_a_changed_file_is_another_run_and_says_so(folder, seqbench):
    name = run_of(folder)
    with open(folder / "my_lab" / "cold.py", "a") as file:  # any of its files
        file.write("# changed\n")
    for command in ("train", "eval"):
        code, _, said = seqbench(command, f"run={name}", PLUGIN)
        assert code == 2 and one_sentence(said).startswith(f"my_lab has changed since run {name} was composed (sha256 ")
    now = run_id(seqbench, EXPERIMENT, PLUGIN)
    assert now != name
    code, said, errors = seqbench("train", EXPERIMENT, PLUGIN)
    assert code == 0, errors
    assert said.startswith(f"my_lab changed since {name}: with this code it is run {now}.\n")


def test_a_plugin_without_a_class_in_the_config_changes_no_id(folder, seqbench):
    assert run_id(seqbench, PLUGIN) == run_id(seqbench)


@pytest.mark.parametrize("command", ["train", "eval"])
def test_a_saved_run_allows_nothing_by_itself(folder, seqbench, command):
    """Neither its target nor the `plugins` of its config; and nothing of the package is imported."""
    (folder / "my_lab" / "__init__.py").write_text("import os\nos.mkdir('marker')\n")
    before = left(folder)
    code, _, said = seqbench(command, f"run={run_of(folder)}", apart=True)
    expected = f"model._target_ must lie in seqbench.models, not 'my_lab.averages.Averages'{ALLOW}"
    assert (code, one_sentence(said)) == (2, expected)
    assert left(folder) == before and not (folder / "marker").exists()


def test_a_file_allows_nothing(folder, seqbench):
    """Neither an experiment that sets plugins nor the row of a table."""
    place = folder / "theirs" / "experiment"
    place.mkdir(parents=True)
    (place / "evil.yaml").write_text("# @package _global_\nplugins: {my_lab: abc}\n")
    code, _, said = seqbench("show", "--config-dir", "theirs", "experiment=evil")
    assert code == 2
    assert one_sentence(said) == "A config file sets plugins, which the command line alone may: plugins=[my_package]."
    write_table(folder, ["plugins=[my_lab]"])
    code, _, said = seqbench("tables")
    assert code == 2
    assert "plugins is a setting of the command line alone, written as plugins=[my_package]" in one_sentence(said)


def write_table(folder, overrides):
    row = {"label": "Averages", "experiment": "parity/averages", "overrides": overrides}
    column = {"heading": "nll", "metric": "test.nll", "format": ".4f"}
    table = {"name": "parity", "title": "Parity", "columns": [column], "rows": [row]}
    (folder / "results" / "tables.yaml").write_text(yaml.safe_dump({"tables": [table]}))


def test_a_table_has_its_runs(folder, seqbench):
    write_table(folder, [])
    code, _, errors = seqbench("tables", PLUGIN)
    assert code == 0, errors
    assert f"Averages: {run_of(folder)}." in (folder / "results" / "tables" / "parity.md").read_text()
    (folder / "my_lab" / "parity.py").write_text("# other code, other runs\n" + (PACKAGE / "parity.py").read_text())
    assert seqbench("tables", PLUGIN)[0] == 0
    assert "No finished run yet." in (folder / "results" / "tables" / "parity.md").read_text()


def test_a_class_by_itself(folder, seqbench):
    """The default model's settings do not stay, and the class's own have their defaults."""
    named = "model._target_=my_lab.averages.Averages"
    code, said, errors = seqbench("show", PLUGIN, named, "+model.hidden_size=8")
    assert code == 0, errors
    assert yaml.safe_load(said)["model"]["rate"] == 0.1 and "n_negative" not in yaml.safe_load(said)["model"]
    assert run_id(seqbench, PLUGIN, named, "model.hidden_size=8") == yaml.safe_load(said)["run_id"]
    code, _, said = seqbench("show", PLUGIN, named, "model.hiden_size=8")
    assert one_sentence(said) == ("model.hiden_size is not an argument of Averages (did you mean model.hidden_size?).")


@pytest.fixture
def on_a_path(folder, tmp_path):
    """The environment in which my_lab lies in another folder and is named by a variable."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(folder / "my_lab", elsewhere / "my_lab")
    return {"PYTHONPATH": f"{Path(__file__).parents[2]}:{elsewhere}", "SEQBENCH_PLUGINS": "my_lab"}


def test_pythonpath_and_an_environment_variable(folder, seqbench, on_a_path):
    code, said, errors = seqbench("show", EXPERIMENT, **on_a_path)
    assert code == 0 and said.startswith(f"run_id: {run_of(folder)}\n"), errors


@pytest.mark.slow
def test_processes_of_torchrun_and_jobs_of_joblib(folder, seqbench, on_a_path):
    joblib = ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    code, said, errors = seqbench("train", *joblib, EXPERIMENT, "train.nproc=2", "seed=1,2", **on_a_path)
    assert code == 0 and said.count("Test of run") == 2, errors


def test_its_files_are_listed_suggested_and_refused_where_ours_have_the_name(folder, seqbench):
    said = seqbench("list", "models", PLUGIN)[1]
    assert "model, my_lab:\n  averages " in said and "averages" not in seqbench("list", "models")[1]
    code, _, said = seqbench("show", "model=avrages", PLUGIN)
    assert (code, one_sentence(said)) == (2, "model=avrages does not exist; did you mean averages?")
    (folder / "my_lab" / "conf" / "model" / "lstm.yaml").write_text("_target_: my_lab.averages.Averages\n")
    code, _, said = seqbench("show", "model=lstm", PLUGIN)
    assert code == 2 and re.fullmatch(r"model=lstm would be \S+ or \S+: rename one of them\.", one_sentence(said))


MISTAKES = [
    ("plugins=[my_lb]", "There is no package 'my_lb' in {folder}, on PYTHONPATH or installed (did you mean my_lab?)."),
    (
        "plugins=[my_lab.py]",
        "plugins names packages, as plugins=[my_package], not 'my_lab.py' (did you mean plugins=[my_lab]?).",
    ),
    ("plugins=my_lab,other", "plugins takes a list: plugins=[my_lab,other]."),
    ("plugins=[seqbench]", "plugins names packages of your own, as plugins=[my_package], not 'seqbench'."),
    ("+plugins=[my_lab]", "plugins is a setting of the command line alone, written as plugins=[my_package]."),
]


@pytest.mark.parametrize(("argument", "sentence"), MISTAKES, ids=[argument for argument, _ in MISTAKES])
def test_mistakes_in_naming_it(folder, seqbench, argument, sentence):
    code, _, said = seqbench("show", argument)
    assert (code, one_sentence(said)) == (2, sentence.format(folder=folder))


MODULES = [
    ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
    ("x = 1 +", "SyntaxError: invalid syntax"),
    ("x = missing", "NameError: name 'missing' is not defined"),
]


@pytest.mark.parametrize(("content", "reason"), MODULES, ids=[content for content, _ in MODULES])
def test_mistakes_in_its_code(tmp_path, seqbench, content, reason):
    """A module of one file is a plugin, too."""
    (tmp_path / "mine.py").write_text(f"{content}\n")
    code, _, said = seqbench("show", "plugins=[mine]", "model._target_=mine.Mine")
    expected = f"model._target_ is not importable: {tmp_path / 'mine.py'}, line 1: {reason}."
    assert (code, one_sentence(said)) == (2, expected)


def test_check(folder, seqbench):
    code, said, errors = seqbench("check", "my_lab.averages.Averages", "hidden_size=8")
    assert code == 0, errors
    lines = said.splitlines()
    assert lines[0] == "Averages, a model:" and len(lines) == 10 and all(line.startswith("  ok ") for line in lines[1:])
    settings = ["model=averages", "task=parity", "head=smoothed", "optimizer=sign_sgd"]
    code, said, errors = seqbench("check", PLUGIN, *settings)
    assert code == 0 and said.count("\n  ok ") == 22, said + errors
    path = folder / "my_lab" / "averages.py"
    path.write_text(path.read_text().replace("h_BH, None\n", "u_BH, None\n"))
    code, said, errors = seqbench("check", "my_lab.averages.Averages", "hidden_size=8")
    assert code == 1
    assert "  fails  chunked equals full: cut after step 1, a sequence gives other outputs: they are up to" in said
    assert "  ok     causality" in said
    assert one_sentence(errors) == "1 of the checks failed: chunked equals full."


def test_an_analysis(folder, seqbench):
    """By its file and by its class; the record, the table and the plot have it, and a misspelt one is refused."""
    name, path = run_of(folder), folder / "results" / "tables.yaml"
    for chosen in (["analysis=spread"], ["analysis._target_=my_lab.spread.Spread", "analysis.bound=0.2"]):
        code, said, errors = seqbench("analyze", f"run={name}", *chosen, PLUGIN)
        assert code == 0 and json.loads(said)["analysis"] == "spread", errors
    entries = json.loads(seqbench("show", f"run={name}")[1])["analyses"]["spread"]
    checksum = yaml.safe_load((folder / "outputs" / name / "config.yaml").read_text())["plugins"]
    assert [(entry["settings"], entry["plugins"]) for entry in entries] == [
        ({"bound": 0.5}, checksum),
        ({"bound": 0.2}, checksum),
    ]
    column = {"heading": "Share", "metric": "spread.share", "format": ".3f", "settings": {"bound": 0.2}}
    row = {"label": "Averages", "experiment": "parity/averages"}

    def tables(**changes):
        table = {"name": "parity", "title": "Parity", "columns": [column | changes], "rows": [row]}
        path.write_text(yaml.safe_dump({"tables": [table]}))
        return seqbench("tables", PLUGIN)

    assert tables()[0] == 0
    assert f" {entries[1]['numbers']['share']:.3f} " in (folder / "results" / "tables" / "parity.md").read_text()
    code, _, said = tables(metric="spraed.share")
    assert code == 2 and "names 'spraed.share', which no record has" in one_sentence(said)
    code, _, said = tables(metric="spread.shore")
    assert code == 2 and one_sentence(said).endswith("a column of it (did you mean spread.share?).")


OURS = [("analyze", "analysis", "spread", "loss_modelling"), ("eval", "evaluation", "cold", "cache")]


@pytest.mark.parametrize(("command", "kind", "module", "ours"), OURS)
def test_findings_do_not_go_by_a_name_of_ours(folder, seqbench, command, kind, module, ours):
    shutil.copy(folder / "my_lab" / f"{module}.py", folder / "my_lab" / f"{ours}.py")
    target = f"my_lab.{ours}.{module.capitalize()}"
    assert seqbench("train", EXPERIMENT, PLUGIN)[0] == 0
    name = run_id(seqbench, EXPERIMENT, PLUGIN)
    code, _, said = seqbench(command, f"run={name}", f"{kind}._target_={target}", PLUGIN)
    expected = (
        f"What {target} finds would be kept as {ours}, the name of one of seqbench's own: call its module something"
    )
    assert (code, one_sentence(said)) == (2, f"{expected} else.")


def test_check_of_what_asks_something_of_a_run(folder, seqbench):
    for target, file, old, new, failing in [
        ("my_lab.cold.Cold", "cold.py", "        return ", "        learner.train()\n        return ", "weights"),
        ("my_lab.spread.Spread", "spread.py", '{"share": share}', "{}", "numbers and figures"),
    ]:
        code, said, errors = seqbench("check", target)
        assert code == 0 and "  fails" not in said, said + errors
        path = folder / "my_lab" / file
        path.write_text(path.read_text().replace(old, new))
        code, said, errors = seqbench("check", target)
        assert code == 1 and f"\n  fails  {failing}: " in said, said
        assert one_sentence(errors) == f"1 of the checks failed: {failing}."
    code, said, errors = seqbench("check", PLUGIN, "evaluation=cold", "task=parity", "model=averages")
    assert (code, one_sentence(errors)) == (1, "1 of the checks failed: weights.")
    code, said, errors = seqbench("check", "model=lenet", "d_input=784", "model.channels=[2,2]", "model.sizes=[5]")
    assert code == 0, said + errors
    code, said, errors = seqbench("check", "optimizer=dp_sgd", "optimizer.noise=0")  # it asks how rows are drawn
    assert code == 0, said + errors
    code, _, errors = seqbench("check", "model=lenet", "d_input=7")
    assert code == 2 and one_sentence(errors).endswith("; it was made with d_input=7.")
