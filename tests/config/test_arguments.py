"""What a command line may hold: paths of any spelling, settings, and the options of a list."""

from pathlib import Path

import pytest
import small_run
import yaml
from said import left, one_sentence

from seqbench.config.arguments import quote, read
from seqbench.config.compose import composed
from seqbench.config.schema import PATHS
from seqbench.engine.assemble import assemble_task, data_folder
from seqbench.errors import ConfigError

SMALL = [*small_run.SMALL, "train.max_steps=1"]
SPELLINGS = [
    "plain",
    "/x/Übung",
    "a=b",
    "a(1)",
    "a[1]",
    "two words",
    "it's",
    'a"b',
    "back\\slash\\",
    "a,b",
    "{a: b}",
    "日本",
    "a:b",
    "#x",
    "'quoted already'",
]


@pytest.mark.parametrize("path", SPELLINGS)
@pytest.mark.parametrize("name", PATHS)
def test_a_path_is_what_was_written(name, path):
    meant = "quoted already" if path.startswith("'") else path
    assert getattr(composed([f"{name}={path}"]), name) == meant


@pytest.mark.parametrize("name", PATHS)
def test_a_tilde_is_the_home_folder(name, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert getattr(composed([f"{name}=~/x"]), name) == "/home/someone/x"


@pytest.mark.parametrize("name", ["data_dir", "source"])
def test_null_is_no_path(name):
    assert getattr(composed([f"{name}=null"]), name) is None


def test_a_quoted_text_ends_where_it_ends():
    assert quote("a\\'b\\") == r"'a\\\'b\\'"


def test_a_run_in_folders_of_such_names(seqbench, tmp_path):
    code, _, errors = seqbench("train", *SMALL, "output_dir=Übung a=b(1)", "results_dir=it's[1]")
    assert code == 0, errors
    (record,) = (tmp_path / "it's[1]" / "runs").glob("*.json")
    saved = yaml.safe_load((tmp_path / "Übung a=b(1)" / record.stem / "config.yaml").read_text())
    assert (saved["output_dir"], saved["results_dir"]) == (
        str(tmp_path / "Übung a=b(1)"),
        str(tmp_path / "it's[1]"),
    )


def test_a_folder_of_configs_of_such_a_name_in_a_sweep(seqbench, tmp_path):
    folder = tmp_path / "mine, a=b (1)" / "experiment"
    folder.mkdir(parents=True)
    (folder / "own.yaml").write_text("# @package _global_\nlog: {every: 7}\n")
    code, _, errors = seqbench(
        "train", "-m", "--config-dir", folder.parent.name, "experiment=own", *SMALL, "seed=1,2", "output_dir=two words"
    )
    assert code == 0, errors
    configs = [yaml.safe_load(path.read_text()) for path in (tmp_path / "two words").glob("*/config.yaml")]
    assert sorted((config["seed"], config["log"]["every"]) for config in configs) == [(1, 7), (2, 7)]


def test_no_home_folder(monkeypatch):
    """A container's user may have no entry in passwd. Only a task that reads data asks for the folder."""

    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    for name in ("SEQBENCH_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert data_folder(composed(["data_dir=/x"])) == Path("/x")
    assert assemble_task(composed(["task=copy"])).version["name"] == "copy"
    with pytest.raises(ConfigError, match="There is no home folder to keep data in; name a folder as data_dir="):
        assemble_task(composed(["task=ptb_char"]))


LINES = [
    ("train -model=scornn", "Settings have no dashes: model=scornn."),
    ("train --model=scornn", "Settings have no dashes: model=scornn."),
    (
        "train --foo",
        "--foo is not an option of seqbench train; it takes -cd/--config-dir, -m/--multirun, -c/--cfg, -p/--package, "
        "--resolve, -h/--help.",
    ),
    (
        "train -x",
        "-x is not an option of seqbench train; it takes -cd/--config-dir, -m/--multirun, -c/--cfg, -p/--package, "
        "--resolve, -h/--help.",
    ),
    ("eval -m run=abc", "-m is not an option of seqbench eval; it takes -cd/--config-dir."),
    ("train --cfg bogus", "--cfg is one of job, hydra, all, not 'bogus'."),
    ("train --cfg", "--cfg needs a word after it."),
    ("train --config-dir", "--config-dir needs a folder after it."),
    ("train --resolve", "--resolve goes with --cfg."),
    ("train -m --cfg job", "--cfg shows one run's config; it does not go with -m."),
    ("train -m=3", "-m takes no value."),
    ("train -m run=abc", "train run=<id> goes on with one run; -m is for new ones."),
    ("train --cfg job --package nope", "--package nope is no part of this config."),
    ("train model=../../etc/passwd", "model=../../etc/passwd does not exist: a name has no '..' in it."),
    (
        "show model=conf/model=lstm",
        "'model=conf/model=lstm' cannot be read as a setting; quote its value: \"model='conf/model=lstm'\".",
    ),
    ("train hydra/sweeper=optuna", "hydra/sweeper=optuna does not exist; there is basic."),
    (
        "train hydra/launcher=jobli",
        "hydra/launcher=jobli does not exist (did you mean joblib?).",
    ),
    ("train -m hydra.launcher.n_jobs=0", "hydra.launcher.n_jobs is at least 1, or -1 for one job a processor, not 0."),
    ("train seed=null", "seed must have a value, not null."),
    ("train network.cutoffs=5", "network.cutoffs is not a setting (did you mean network.tied?)."),
    (
        "train ~train.max_steps",
        "train.max_steps cannot be dropped: it is the engine's own; train.max_steps=<value> sets it.",
    ),
    ("train +seed=1", "seed exists already: seed=<value> sets it, without a plus."),
    ("train force=2", "force must be true or false, not 2."),
    ("train train.deterministic=yes", "train.deterministic must be true or false, not 'yes'."),
    ("train -m seed=range(0,0)", "seed=range(0,0) names no value."),
    ("train -m seed=range(0,1000000000)", "A sweep has at most 10,000 jobs."),
    (
        "train model=scornn,task=copy",
        "'model=scornn,task=copy' is one argument; give task=copy as another, after a space.",
    ),
    (
        "train log.project=Übung",
        "'log.project=Übung' cannot be read as a setting; quote its value: \"log.project='Übung'\".",
    ),
    ("train -m seed=0,abc", "seed must be an integer, not 'abc'."),
    ("train -m output_dir= seed=0", "output_dir names a folder, not ''."),
    ("train optimizer.lr=1e39", "optimizer.lr is at most 3.4e+38, not 1e+39."),
    (
        "train model.hidden_size=1000000000000000000",
        "model.hidden_size is at most 1,099,511,627,776, not 1000000000000000000.",
    ),
    (
        "train optimizer=adam ++optimizer.fused=true ++optimizer.foreach=true",
        "optimizer.fused and optimizer.foreach are two ways of one step; set one of them to null.",
    ),
    (
        "train optimizer=adam ++optimizer.differentiable=true",
        "optimizer.differentiable=true is for loops other than this one; here it is false.",
    ),
    (
        "train optimizer=adam optimizer._target_=torch.optim.SparseAdam",
        "optimizer._target_ names torch.optim.SparseAdam, which needs sparse gradients, and no network here has them.",
    ),
    (
        "train optimizer._target_=torch.optim.lr_scheduler",
        "optimizer._target_ names torch.optim.lr_scheduler, and torch.optim has no class lr_scheduler.",
    ),
    ("train model=1e5", "model=1e5 does not exist; seqbench list shows those there are."),
    (
        "train task._target_=seqbench.tasks.synthetic.counted.Counted",
        "task._target_ names seqbench.tasks.synthetic.counted.Counted, which is not a task.",
    ),
    ("train model/conf/model=lstm", "model/conf/model is not a setting; seqbench show lists them."),
    ("eval run=*", "No run in outputs begins with '*'; there is none."),
    ("show run=**", "No run in outputs begins with '**'; there is none."),
    ("train run=/etc", "No run in outputs begins with '/etc'; there is none."),
    ("train train.nproc=21", "train.nproc=21 processes cannot share a batch of 20 sequences."),
    ("train -m train.nproc=21 seed=0", "train.nproc=21 processes cannot share a batch of 20 sequences."),
    (
        "train model.hidden_size=1000000000",
        "This run does not fit in memory; its largest setting is model.hidden_size=1000000000.",
    ),
    ("train task.delay=1000000000", "This run does not fit in memory; its largest setting is task.delay=1000000000."),
]


@pytest.mark.parametrize(("line", "sentence"), LINES, ids=[line for line, _ in LINES])
def test_a_mistake_is_one_sentence(seqbench, tmp_path, line, sentence):
    code, _, said = seqbench(*line.split())
    assert code == 2
    is_beginning = sentence.endswith(", ")  # of a list that grows with the models
    assert one_sentence(said) == sentence or (is_beginning and one_sentence(said).startswith(sentence))
    assert left(tmp_path) == [] and not (tmp_path / "results").exists()


@pytest.mark.parametrize("argument", ["", " ", "model=scornn task=copy", "seed=1\nx", "\udcff=1"])
def test_arguments_that_are_no_settings(argument):
    with pytest.raises(ConfigError):
        read("train", [argument, "seed=1"])
    with pytest.raises(ConfigError):
        composed(["model=[" + "[" * 5000])


@pytest.mark.parametrize("command", ["train", "eval", "list"])
def test_the_version_is_ours(seqbench, command):
    assert seqbench(command, "--version")[1].startswith("seqbench ")


def test_bytes_that_are_no_text(seqbench, tmp_path):
    code, _, said = seqbench("train", "output_dir=a\udcff")
    assert (code, one_sentence(said)) == (2, "An argument has a character that is not text: 'output_dir=a\\udcff'.")
    assert list(tmp_path.iterdir()) == []
