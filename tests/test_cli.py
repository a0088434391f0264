"""The command line's commands, as a user gives them."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import small_run
import torch

from seqbench.bench.catalog import names
from seqbench.cli import COMMANDS
from seqbench.commands.evaluate import ACCEPTED
from seqbench.config.nodes import options
from seqbench.engine.checkpoint import Checkpoints

ROOT = Path(__file__).parents[1]
SMALL = [*small_run.SMALL, "train.max_steps=4", "train.eval_every=2"]


def test_train_skip_show_eval_and_list(seqbench, tmp_path):
    code, said, errors = seqbench("train", *SMALL)
    assert code == 0, errors
    assert "Memoryless baseline" in said
    record = json.loads(next((tmp_path / "results" / "runs").glob("*.json")).read_text())
    assert record["metrics"]["test"]["n_targets"] == 20 * 30
    name = record["run_id"]
    assert "has finished" in seqbench("train", *SMALL)[1]
    assert json.loads(seqbench("show", f"run={name}")[1]) == record
    code, said, errors = seqbench("eval", f"run={name[:6]}", apart=True)
    assert code == 0, errors
    assert json.loads(said)["metrics"] == record["metrics"]["test"]
    config = tmp_path / "outputs" / name / "config.yaml"
    whole = config.read_text()
    config.write_text(whole.replace("  vocab_chunk: null\n", ""))  # as a version without it saved it
    assert len(config.read_text()) < len(whole)
    assert seqbench("eval", f"run={name}")[1] == said
    assert re.search(rf"^{name}  copy/scornn +0 +4  accuracy ", seqbench("list")[1], re.MULTILINE)
    code, _, errors = seqbench("eval", f"run={name}", "split=tset")
    assert (code, errors) == (2, "seqbench: split is one of train, valid, test, not 'tset' (did you mean test?).\n")
    code, _, errors = seqbench("eval", f"run={name}", "evaluation=dynamic")
    assert (code, errors) == (2, "seqbench: evaluation=dynamic is for language modelling, not for the task copy.\n")
    assert seqbench("show", *SMALL)[1].startswith(f"run_id: {name}")
    assert all(f"\n{group}:" in seqbench("show", *SMALL)[1] for group in ("evaluation", "log", "checkpoint"))


def test_a_record_that_is_lost_comes_back(seqbench, tmp_path):
    assert seqbench("train", *SMALL)[0] == 0
    (path,) = (tmp_path / "results" / "runs").glob("*.json")
    whole = json.loads(path.read_text())
    path.unlink()
    assert "has finished" in seqbench("train", *SMALL)[1]
    assert json.loads(path.read_text()) == whole
    evaluations = {"frequency": {"valid": [{"metrics": {"nll": 1.0}}]}}
    path.write_text(json.dumps(whole | {"evaluations": evaluations}))
    (tmp_path / "outputs" / path.stem / "record.json").write_text("")  # the disk was full, or the machine went down
    code, said, errors = seqbench("train", *SMALL)
    assert code == 0, errors
    assert "has finished" not in said
    again = json.loads(path.read_text())
    assert (again["metrics"], again["evaluations"]) == (whole["metrics"], evaluations)


@pytest.fixture(scope="module")
def finished_words(tmp_path_factory, seqbench_in, real_data):
    """A folder with a run on Penn Treebank whose ledger is not where the settings have it."""
    place = tmp_path_factory.mktemp("words")
    settings = ["task=ptb_word", "model=gru", "model.hidden_size=8", "embedding.d_embed=8", "train.max_steps=2"]
    settings += ["head=adaptive", "head.div_value=2", "task.eval_window=1000", f"data_dir={place / 'data'}"]
    settings += [f"source={real_data / 'ptb'}", "results_dir=elsewhere"]
    code, _, errors = seqbench_in(place, "train", *settings)
    assert code == 0, errors
    return place


@pytest.fixture
def words(finished_words, tmp_path):
    """A copy of that: (the run's id, the run's folder, its record in the ledger)."""
    shutil.copytree(finished_words, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("data"))
    (kept,) = tmp_path.glob("elsewhere/runs/*.json")
    return kept.stem, tmp_path / "outputs" / kept.stem, kept


def test_evaluations_go_into_the_record_under_their_names(seqbench, words, tmp_path):
    name, folder, kept = words
    plain = json.loads(kept.read_text())["metrics"]
    for evaluation in (["frequency"], ["cache", "evaluation.size=5"]):
        code, said, errors = seqbench(
            "eval",
            f"run={name}",
            f"evaluation={evaluation[0]}",
            *evaluation[1:],
            "split=valid",
            "results_dir=elsewhere",
        )
        assert code == 0, errors
        record = json.loads(kept.read_text())
        assert (folder / "record.json").read_bytes() == kept.read_bytes()
        assert record["metrics"] == plain  # of another kind, and so elsewhere
        (found,) = record["evaluations"][evaluation[0]]["valid"]
        assert json.loads(said) == {"run_id": name, "split": "valid", **found}
        assert found["category"] == {"frequency": "static", "cache": "cache"}[evaluation[0]]
        assert found["context"] and found["memory"] and found["step"] == 2
    assert record["evaluations"]["frequency"]["valid"][0]["metrics"]["nll"] == pytest.approx(plain["valid"]["nll"])
    assert record["evaluations"]["cache"]["valid"][0]["settings"] == {"size": 5, "weight": 0.1, "sharpness": 1.0}
    assert not (tmp_path / "results").exists()


def test_what_only_one_of_two_records_tells_is_kept(seqbench, words):
    name, folder, kept = words
    frequency = ["eval", f"run={name}", "evaluation=frequency", "split=valid", "results_dir=elsewhere"]
    assert seqbench(*frequency)[0] == 0
    record, own = json.loads(kept.read_text()), folder / "record.json"
    record["evaluations"]["cache"] = {"valid": record["evaluations"]["frequency"]["valid"]}
    kept.write_text(json.dumps(record))  # as where the ledger comes from elsewhere
    assert seqbench(*frequency)[0] == 0
    assert json.loads(kept.read_text()) == record
    assert own.read_bytes() == kept.read_bytes()
    kept.write_text("<<<<<<< HEAD\n{}")  # as a merge leaves it
    assert seqbench(*frequency)[0] == 0
    assert json.loads(kept.read_text()) == record
    own.unlink()
    code, _, errors = seqbench(*frequency)
    assert (code, errors) == (0, f"Run {name} has not finished: no record keeps this.\n")


def test_an_evaluation_that_is_not_finite_fails(seqbench, words):
    name, folder, kept = words
    (best,) = folder.glob("checkpoints/best-*.pt")
    payload = torch.load(best, weights_only=True)
    for weight in payload["network"].values():
        weight.fill_(math.nan)
    best.unlink()
    Checkpoints(best.parent, print).save(payload, step=payload["progress"]["step"], best=True)
    before = kept.read_bytes(), (folder / "record.json").read_bytes()
    code, said, errors = seqbench("eval", f"run={name}", "evaluation=frequency", "results_dir=elsewhere")
    assert (code, said) == (1, ""), errors
    assert re.fullmatch(
        r"seqbench: The \w+ on test is not finite \(nan\): nothing is kept of this evaluation.\n", errors
    )
    assert (kept.read_bytes(), (folder / "record.json").read_bytes()) == before


def test_a_sweep_runs_every_job_and_a_diverging_one_stops_none(seqbench, tmp_path):
    code, _, errors = seqbench("train", "-m", *SMALL, "optimizer=sgd", "optimizer.lr=1e30,0.1")
    assert len(list((tmp_path / "results" / "runs").glob("*.json"))) == 1, errors
    assert "The loss is not finite" in errors
    assert code == 1


@pytest.mark.parametrize(
    "launcher",
    [[], pytest.param(["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], marks=pytest.mark.slow)],
    ids=["one", "two"],
)
def test_a_mistake_in_a_sweep_stops_no_other_run(seqbench, tmp_path, launcher):
    code, _, errors = seqbench("train", "-m", *launcher, *SMALL, "model.n_negative=99,4", apart=bool(launcher))
    assert len(list((tmp_path / "results" / "runs").glob("*.json"))) == 1, errors
    assert errors.count("seqbench: model: n_negative is between 0 and hidden_size=8, not 99.\n") == 1
    assert code == 2


def test_what_analyze_cannot_write_it_says_before_it_measures(seqbench, tmp_path):
    code, _, errors = seqbench("train", *SMALL)
    assert code == 0, errors
    (record,) = tmp_path.glob("results/runs/*.json")
    (tmp_path / "file").write_text("")
    code, said, errors = seqbench("analyze", f"run={record.stem}", "analysis=loss_modelling", "results_dir=file")
    assert (code, said, errors) == (2, "", "seqbench: file/runs: Not a directory.\n")


def test_a_sweep_in_parallel_resumes_where_it_stopped(seqbench, tmp_path):
    code, _, errors = seqbench("train", *SMALL, "seed=1")
    assert code == 0, errors
    (done,) = (tmp_path / "outputs").glob("*/record.json")
    before = done.stat().st_mtime_ns
    jobs = ["train", "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *SMALL, "seed=0,1"]
    code, said, errors = seqbench(*jobs, apart=True)
    assert code == 0, errors
    assert done.stat().st_mtime_ns == before
    assert len(list((tmp_path / "results" / "runs").glob("*.json"))) == 2
    code, said, errors = seqbench("train", "-m", "hydra/launcher=local", *SMALL, "seed=0,1")
    assert code == 0, errors
    assert said.count("has finished") == 2
    *_, heading, reached = said.splitlines()
    assert (heading.split(), reached.split()[0]) == (["seeds", "accuracy", "nll"], "2")


def test_completion():
    def ask(line):
        env = {**os.environ, "COMP_LINE": line, "COMP_POINT": str(len(line))}
        command = [sys.executable, "-m", "seqbench", "-sc", "query=bash"]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()

    assert ask("seqbench tr") == ["train"]
    assert "model=scornn" in ask("seqbench train model=s")
    assert "train." in " ".join(ask("seqbench train trai"))
    assert ask("seqbench train experiment=copy_t1000/sc") == [
        "experiment=copy_t1000/scornn"
    ]  # Hydra's are one level deep
    assert ask("seqbench tables ptb_word_d") == ["ptb_word_deq"]
    assert ask("seqbench bench opt") == ["optimizer"]
    assert ask("seqbench list mod") == ["models"]
    kept = next((ROOT / "results" / "runs").glob("*.json")).stem
    assert ask(f"seqbench eval run={kept}") == [f"run={kept}"]


def test_completion_for_a_shell_that_is_not_there(seqbench):
    said = "seqbench: -sc takes install=<shell> or uninstall=<shell>, of bash, zsh, fish.\n"
    assert seqbench("-sc", "install=powershell")[::2] == seqbench("-sc")[::2] == (2, said)


def test_a_sweep_says_whose_results_are_whose(seqbench):
    code, said, errors = seqbench("train", *SMALL, "-m", "seed=0,1")  # -m where Hydra does not take it
    assert code == 0, errors
    jobs = [line for line in said.splitlines() if line.startswith("Job ")]
    assert [line.split()[1] + line.split()[-1] for line in jobs] == ["0:seed=0", "1:seed=1"]
    ids = re.findall(r"^Run (\w{12}):", said, re.MULTILINE)
    assert re.findall(r"^Test of run (\w{12}) at step 4:", said, re.MULTILINE) == ids and len(set(ids)) == 2


def test_ones_own_torchrun(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "seqbench"]
    done = subprocess.run([*command, "train", *SMALL], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Test of run ") == 1
    assert len(list((tmp_path / "results" / "runs").glob("*.json"))) == 1


@pytest.mark.skipif(shutil.which("srun") is not None, reason="SLURM is here: the job would be sent to it")
def test_slurms_launcher_without_slurm(seqbench):
    code, _, errors = seqbench("train", "-m", "hydra/launcher=slurm", *SMALL, "seed=0,1", apart=True)
    said = "seqbench: hydra/launcher=slurm is for a SLURM cluster, and this machine has no srun.\n"
    assert (code, errors) == (2, said)


def test_a_run_of_another_version_is_not_resumed_under_another_id(seqbench, tmp_path):
    assert seqbench("train", *SMALL)[0] == 0
    (run,) = (tmp_path / "outputs").iterdir()
    other = run.rename(run.with_name("0" * 12))
    code, said, errors = seqbench("train", "run=000")
    assert code == 2 and "was started by another version of seqbench" in errors and run.name in errors
    other.rename(run)
    code, said, errors = seqbench("train", f"run={run.name[:4]}")
    assert code == 0 and f"Run {run.name} has finished" in said, errors


def test_a_runs_id_that_several_have_or_whose_weights_are_elsewhere(seqbench, tmp_path):
    assert seqbench("train", *SMALL)[0] == 0
    (run,) = (tmp_path / "outputs").iterdir()
    shutil.copytree(run, run.with_name(run.name[:4] + "0" * 8))
    code, _, errors = seqbench("eval", f"run={run.name[:4]}")
    both = ", ".join(sorted([run.name, run.name[:4] + "0" * 8]))
    assert (code, errors) == (2, f"seqbench: Several runs in outputs begin with '{run.name[:4]}': {both}.\n")
    code, _, errors = seqbench("eval", "run=zzz")
    assert code == 2 and errors.startswith("seqbench: No run in outputs begins with 'zzz'; nearest: ")
    shutil.rmtree(tmp_path / "outputs")
    code, _, errors = seqbench("eval", f"run={run.name}")
    said = (
        f"seqbench: The ledger has run {run.name}, but its weights are not in outputs; run the training here first.\n"
    )
    assert (code, errors) == (2, said)


def test_a_commands_help_names_what_it_takes(seqbench):
    named = {"eval": [*ACCEPTED, *options("evaluation")], "bench": [*names(), "rounds", "threads"], "show": ["--row"]}
    for command in COMMANDS:
        code, said, errors = seqbench(command, "--help")
        assert code == 0, errors
        assert command == "train" or said.startswith(f"seqbench {command}: {COMMANDS[command]}\n\n")
        assert [name for name in named.get(command, []) if name not in said] == []


def test_what_an_experiment_leaves_to_another_choice_is_said(seqbench):
    small = ["source=nowhere", "experiment=ptb_word/lstm_small"]  # stops where data are missing

    def kept(*settings):
        _, said, _ = seqbench("train", *small, *settings)
        return re.findall(r"^Still set by experiment=ptb_word/lstm_small: (.*) \(", said, re.MULTILINE)

    assert kept() == kept("optimizer=sgd") == kept("optimizer=adam", "optimizer.lr=1e-3") == []
    assert kept("optimizer=adam") == ["optimizer.lr=20.0"]
    assert kept("model=gru", "~model.n_layers") == ["model.hidden_size=200 model.init_range=0.1"]
    assert kept("-m", "optimizer=sgd,adam") == ["optimizer.lr=20.0"]


def test_options_stand_anywhere_among_settings(seqbench, tmp_path):
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "own.yaml").write_text("# @package _global_\noptimizer: {lr: 0.25}\n")
    code, said, errors = seqbench(
        "train", "seed=3", "--config-dir", "mine", "experiment=own", "--cfg", "job", "task=copy"
    )
    assert code == 0, errors
    assert "seed: 3\n" in said and "lr: 0.25\n" in said
