"""Nothing of a stranger's executes: not from an argument, a folder of configs, or a saved run's config."""

import shutil

import pytest
import small_run
import yaml
from said import left, one_sentence

from seqbench.config.identity import run_id
from seqbench.config.schema import load

SMALL = [*small_run.SMALL, "train.max_steps=1"]
OWN = "is a setting of Hydra's, which no config file of one's own may set."
NOT_TAKEN = (
    "is a setting of Hydra's that seqbench does not take; hydra/launcher and hydra.launcher.<setting> say where a "
    "sweep runs."
)
OPTIONS = "it takes -cd/--config-dir, -m/--multirun, -c/--cfg, -p/--package, --resolve, -h/--help."

ARGUMENTS = [
    (["+hydra.callbacks.e={_target_: os.mkdir, path: marker}"], f"hydra.callbacks.e {NOT_TAKEN}"),
    (["++hydra.callbacks={e: {_target_: pathlib.Path.touch, self: marker}}"], f"hydra.callbacks {NOT_TAKEN}"),
    (["-m", "hydra.sweeper._target_=os.mkdir", "+hydra.sweeper.path=marker"], f"hydra.sweeper._target_ {NOT_TAKEN}"),
    (["-m", "hydra.launcher._target_=os.mkdir", "seed=0,1"], f"hydra.launcher._target_ {NOT_TAKEN}"),
    (["-m", "hydra.sweeper.params={seed: '0,1'}"], f"hydra.sweeper.params {NOT_TAKEN}"),
    (["hydra.job_logging.handlers.file.filename=marker"], f"hydra.job_logging.handlers.file.filename {NOT_TAKEN}"),
    (["hydra/job_logging=default"], f"hydra/job_logging {NOT_TAKEN}"),
    (["hydra.output_subdir=marker"], f"hydra.output_subdir {NOT_TAKEN}"),
    (["hydra.run.dir=marker"], f"hydra.run.dir {NOT_TAKEN}"),
    (["hydra.job.chdir=true"], f"hydra.job.chdir {NOT_TAKEN}"),
    (["+hydra.job.env_set.LD_PRELOAD=marker"], f"hydra.job.env_set.LD_PRELOAD {NOT_TAKEN}"),
    (["hydra.searchpath=[pkg://evil]"], f"hydra.searchpath {NOT_TAKEN}"),
    (["hydra=null"], f"hydra {NOT_TAKEN}"),
    (["--experimental-rerun", "bomb.pkl"], f"--experimental-rerun is not an option of seqbench train; {OPTIONS}"),
    (["--experimental-rerun=bomb.pkl"], f"--experimental-rerun=bomb.pkl is not an option of seqbench train; {OPTIONS}"),
    (["--config-name", "evil"], f"--config-name is not an option of seqbench train; {OPTIONS}"),
    (["--config-path=/evil"], f"--config-path=/evil is not an option of seqbench train; {OPTIONS}"),
    (["+model@hydra.callbacks.e=lstm"], "hydra.callbacks {OWN}"),
]


@pytest.mark.parametrize(("arguments", "sentence"), ARGUMENTS, ids=[" ".join(words) for words, _ in ARGUMENTS])
def test_hydras_own_settings(seqbench, tmp_path, arguments, sentence):
    (tmp_path / "bomb.pkl").write_bytes(b"cos\nmkdir\n(S'marker'\ntR.")
    code, _, said = seqbench("train", *SMALL, *arguments)
    assert (code, one_sentence(said)) == (2, sentence.replace("{OWN}", OWN))
    assert [path.name for path in tmp_path.iterdir()] == ["bomb.pkl"]


CALL = "{_target_: os.mkdir, path: marker}"
GLOBAL = "# @package _global_\n"
FILES = [
    ("experiment/evil.yaml", f"{GLOBAL}hydra: {{callbacks: {{e: {CALL}}}}}", f"hydra.callbacks {OWN}"),
    (
        "experiment/evil.yaml",
        f"{GLOBAL}defaults:\n  - /other/evil@hydra.callbacks.e\n",
        f"hydra.callbacks {OWN}",
    ),
    (
        "experiment/evil.yaml",
        f"{GLOBAL}hydra: {{job_logging: {{handlers: {{h: {{(): os.mkdir, path: marker}}}}}}}}",
        f"hydra.job_logging {OWN}",
    ),
    (
        "experiment/evil.yaml",
        f"{GLOBAL}hydra: {{hydra_logging: {{handlers: {{h: {{class: logging.FileHandler, filename: marker}}}}}}}}",
        f"hydra.hydra_logging {OWN}",
    ),
    (
        "experiment/evil.yaml",
        f"{GLOBAL}hydra: {{launcher: {{_target_: os.getcwd}}}}",
        f"hydra.launcher {OWN}",
    ),
    ("experiment/evil.yaml", f"{GLOBAL}defaults:\n  - override /hydra/launcher: joblib\n", f"hydra.launcher {OWN}"),
    (
        "experiment/evil.yaml",
        f"{GLOBAL}hydra: {{sweeper: {{_target_: os.getcwd}}}}",
        f"hydra.sweeper {OWN}",
    ),
    (
        "experiment/evil.yaml",
        f"{GLOBAL}hydra: {{job: {{env_set: {{LD_PRELOAD: marker}}}}}}",
        f"hydra.job.env_set {OWN}",
    ),
    ("experiment/evil.yaml", f"{GLOBAL}hydra: {{output_subdir: marker}}", f"hydra.output_subdir {OWN}"),
    ("experiment/evil.yaml", f"{GLOBAL}hydra: {{run: {{dir: marker}}}}", f"hydra.run {OWN}"),
    ("experiment/evil.yaml", f"{GLOBAL}hydra: {{sweep: {{dir: marker}}}}", f"hydra.sweep {OWN}"),
    ("experiment/evil.yaml", f"{GLOBAL}hydra: {{mode: MULTIRUN}}", f"hydra.mode {OWN}"),
    ("experiment/evil.yaml", f"{GLOBAL}model: {CALL}", "model._target_ must lie in seqbench.models, not 'os.mkdir'."),
    (
        "experiment/evil.yaml",
        f"{GLOBAL}model: {{_target_: seqbench.commands.train.train, arguments: [--help]}}",
        "model._target_ must lie in seqbench.models, not 'seqbench.commands.train.train'.",
    ),
    (
        "experiment/evil.yaml",
        f"{GLOBAL}task: {{_target_: seqbench.errors.UserError}}",
        "task._target_ must lie in seqbench.tasks, not 'seqbench.errors.UserError'.",
    ),
    (
        "experiment/evil.yaml",
        f"{GLOBAL}model: {{_target_: evil.Model}}\nplugins: {{evil: abc}}",
        "A config file sets plugins, which the command line alone may: plugins=[my_package].",
    ),
    (
        "experiment/evil.yaml",
        f"{GLOBAL}run: abc",
        "A config file sets run, which is a setting of the command line alone: run=<id>.",
    ),
]


@pytest.mark.parametrize("sweep", [[], ["-m", "seed=0,1"]], ids=["run", "sweep"])
@pytest.mark.parametrize(("name", "content", "sentence"), FILES, ids=[content for _, content, _ in FILES])
def test_a_folder_of_configs(seqbench, tmp_path, name, content, sentence, sweep):
    for path, text in ((name, content), ("other/evil.yaml", CALL)):
        (tmp_path / "theirs" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "theirs" / path).write_text(text)
    settings = [one for one in SMALL if not one.startswith("model.")]
    code, _, said = seqbench("train", "--config-dir", "theirs", "experiment=evil", *settings, *sweep)
    assert (code, one_sentence(said)) == (2, sentence)
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_a_later_job_of_a_sweep_is_looked_at_before_the_first_runs(seqbench, tmp_path):
    folder = tmp_path / "theirs" / "experiment"
    folder.mkdir(parents=True)
    (folder / "good.yaml").write_text(f"{GLOBAL}seed: 1\n")
    (folder / "evil.yaml").write_text(f"{GLOBAL}hydra: {{callbacks: {{e: {CALL}}}}}\n")
    code, _, said = seqbench("train", "-m", "--config-dir", "theirs", "experiment=good,evil", *SMALL)
    assert (code, one_sentence(said)) == (2, f"hydra.callbacks {OWN}")
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory, seqbench_in):
    """A folder in which a run of SMALL has finished."""
    place = tmp_path_factory.mktemp("finished")
    code, _, errors = seqbench_in(place, "train", *SMALL)
    assert code == 0, errors
    return place


@pytest.fixture
def run_folder(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path, dirs_exist_ok=True)
    return next(path for path in (tmp_path / "outputs").iterdir())


SECTIONS = [
    (
        "model",
        {"_target_": "os.mkdir", "path": "marker"},
        "model._target_ must lie in seqbench.models, not 'os.mkdir'.",
    ),
    (
        "model",
        {"_target_": "seqbench.commands.train.train", "arguments": ["--experimental-rerun=bomb.pkl"]},
        "model._target_ must lie in seqbench.models, not 'seqbench.commands.train.train'.",
    ),
    (
        "task",
        {"_target_": "seqbench.commands.prepare.prepare", "arguments": ["task=ptb_word"]},
        "task._target_ must lie in seqbench.tasks, not 'seqbench.commands.prepare.prepare'.",
    ),
    (
        "evaluation",
        {"_target_": "evil.Evaluation"},
        "evaluation._target_ must lie in seqbench.evaluation, not 'evil.Evaluation'; if you trust that package, "
        "plugins=[evil] allows it.",
    ),
    (
        "model",
        {"_target_": "evil.Model"},
        "model._target_ must lie in seqbench.models, not 'evil.Model'; if you trust that package, plugins=[evil] "
        "allows it.",
    ),
]


@pytest.mark.parametrize("command", ["eval", "train", "list"])
@pytest.mark.parametrize(("section", "node", "sentence"), SECTIONS, ids=[node["_target_"] for _, node, _ in SECTIONS])
def test_a_saved_run(seqbench, run_folder, tmp_path, command, section, node, sentence):
    """`python -m` has the folder it is called in on its path: a module there must not be imported."""
    (tmp_path / "evil.py").write_text("import os\nos.mkdir('marker')\n")
    path = run_folder / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {section: node, "plugins": {"evil": "0"}}))
    (run_folder / "record.json").unlink()
    before = left(tmp_path)
    arguments = [] if command == "list" else [f"run={run_folder.name}"]
    if command == "eval" and section == "evaluation":
        arguments.append("evaluation=static")  # always of the command
    code, _, said = seqbench(command, *arguments, apart=True)
    if command != "list":
        assert code == 2 and (one_sentence(said) == sentence or section == "evaluation"), said
    assert "Traceback" not in said
    assert left(tmp_path) == before


def test_a_saved_run_writes_where_the_command_says(seqbench, run_folder, tmp_path):
    path = run_folder / "config.yaml"
    elsewhere = {"results_dir": str(tmp_path / "theirs"), "output_dir": str(tmp_path / "theirs")}
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | elsewhere))
    assert run_id(load(path)) == run_folder.name  # folders are no part of it
    (run_folder / "record.json").unlink()
    for command in ("eval", "train"):
        code, _, errors = seqbench(command, f"run={run_folder.name}")
        assert code == 0, errors
    assert not (tmp_path / "theirs").exists()
    assert (tmp_path / "results" / "runs" / f"{run_folder.name}.json").exists()
    assert yaml.safe_load(path.read_text())["results_dir"] == str(tmp_path / "results")


def test_eval_holds_the_config_against_the_runs_id(seqbench, run_folder):
    path = run_folder / "config.yaml"
    path.write_text(path.read_text().replace("delay: 10", "delay: 11"))
    changed = run_id(load(path))
    code, out, said = seqbench("eval", f"run={run_folder.name}")
    assert (code, out, one_sentence(said)) == (
        2,
        "",
        f"outputs/{run_folder.name}/config.yaml is not that of run {run_folder.name}: its settings have the id "
        f"{changed}.",
    )
