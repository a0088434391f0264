"""A user's mistakes: each one sentence, exit code 2, no traceback, nothing written. And the commands that are right."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SMALL = [
    "task.delay=10",
    "task.train_size=40",
    "task.valid_size=20",
    "task.test_size=20",
    "model.hidden_size=8",
    "model.n_negative=4",
    "train.max_steps=4",
    "train.eval_every=2",
]

MISTAKES = [
    (["trian"], "There is no command 'trian'; did you mean train?"),
    (["train", "model=scorn"], "model=scorn does not exist; did you mean scornn?"),
    (["train", "modle=scornn"], "modle is not a setting (did you mean model?)."),
    (
        ["train", "experiment=copy_t1000/scorn"],
        "experiment=copy_t1000/scorn does not exist; did you mean copy_t1000/scornn?",
    ),
    (["train", "train.max_stepz=3"], "train.max_stepz is not a setting (did you mean train.max_steps?)."),
    (["train", "model.hiden_size=3"], "model.hiden_size is not a setting (did you mean model.hidden_size?)."),
    (
        ["train", "+model.hiden_size=3"],
        "model.hiden_size is not an argument of seqbench.models.scornn.SCORNN (did you mean model.hidden_size?).",
    ),
    (["train", "train.max_steps=abc"], "train.max_steps must be an integer, not 'abc'."),
    (["train", "model.hidden_size=abc"], "model.hidden_size must be an integer, not 'abc'."),
    (["train", "train.max_steps=-1"], "train.max_steps must be positive, not -1."),
    (["train", "train.max_epochs=1"], "Give exactly one of train.max_steps and train.max_epochs."),
    (
        ["train", "train.precision=fp8"],
        "train.precision is one of fp32, bf16, fp16, not 'fp8' (did you mean fp32?).",
    ),
    (["train", "model._target_=os.system"], "model._target_ must lie in seqbench. or torch.optim., not 'os.system'."),
    (
        ["train", "model.n_negative=999"],
        "model: n_negative is between 0 and hidden_size=190, not 999.",
    ),
    (
        ["train", "task.variant=wrong"],
        "task: task.variant is one of urnn, exprnn, tcn, s4, not 'wrong'.",
    ),
    (
        ["train", "+optimizer.groups.recurent.lr=0.1"],
        "optimizer.groups.recurent names no parameter group of this network; it has: recurrent.",
    ),
    (["train", "train.device=cuda"], "train.device=cuda, but torch sees no GPU here."),
    (["train", "task=ptb_word", "source=nowhere"], "source=nowhere does not exist; name a folder that holds "),
    (["eval", "run=abc"], "No single run in outputs begins with 'abc'; there is none."),
    (["eval", "model=gru"], "eval takes run, evaluation, split, output_dir, data_dir, source, "),
    (["train", "output_dir=/dev/null/x"], "Cannot write /dev/null/"),
    (["tables", "cpoy"], "results/tables.yaml"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(m[0]) for m in MISTAKES])
def test_mistakes(seqbench, tmp_path, arguments, sentence):
    if "train.device=cuda" in arguments:
        import torch

        if torch.cuda.is_available():
            pytest.skip("this machine has a GPU")
    code, _, said = seqbench(*arguments)
    assert said.startswith("seqbench: "), said
    assert sentence in said
    assert len(said.strip().splitlines()) == 1
    assert code == 2
    assert not (tmp_path / "outputs").exists() or not list((tmp_path / "outputs").iterdir())


def test_train_skip_show_eval_list_and_table(seqbench, tmp_path):
    code, said, errors = seqbench("train", *SMALL)
    assert code == 0, errors
    assert "Memoryless baseline" in said
    record = json.loads(next((tmp_path / "results" / "runs").glob("*.json")).read_text())
    assert record["metrics"]["test"]["n_targets"] == 20 * 30
    name = record["run_id"]
    assert "has finished" in seqbench("train", *SMALL)[1]
    assert json.loads(seqbench("show", f"run={name}")[1]) == record
    code, said, errors = seqbench("eval", f"run={name[:6]}")
    assert code == 0, errors
    assert json.loads(said)["metrics"] == record["metrics"]["test"]
    assert name in seqbench("list")[1]
    assert seqbench("show", *SMALL)[1].startswith(f"run_id: {name}")


def test_a_sweep_runs_every_job_and_a_diverging_one_stops_none(seqbench, tmp_path):
    code, _, errors = seqbench("train", "-m", *SMALL, "optimizer=sgd", "optimizer.lr=1e30,0.1")
    assert len(list((tmp_path / "results" / "runs").glob("*.json"))) == 1, errors
    assert "The loss is not finite" in errors
    assert code == 1


def test_a_damaged_checkpoint_falls_back(seqbench, tmp_path):
    settings = [*SMALL, "checkpoint.every=1"]
    assert seqbench("train", *settings)[0] == 0
    folder = next((tmp_path / "outputs").iterdir())
    before = (folder / "metrics.jsonl").read_bytes()
    (folder / "record.json").unlink()
    last = sorted((folder / "checkpoints").glob("step-*.pt"))[-1]
    for path in folder.glob("checkpoints/best-*.pt"):
        path.rename(path.with_suffix(".keep"))  # may be the same file
    content = last.read_bytes()
    last.unlink()
    last.write_bytes(content[: len(content) // 2])
    for path in folder.glob("checkpoints/best-*.keep"):
        path.rename(path.with_suffix(".pt"))
    code, said, errors = seqbench("train", *settings)
    assert code == 0, errors
    assert "is damaged; going back to the one before." in said
    assert "Resuming" in said
    assert (folder / "metrics.jsonl").read_bytes() == before


def test_two_processes_on_one_run(seqbench, tmp_path):
    from filelock import FileLock

    name = seqbench("show", *SMALL)[1].splitlines()[0].removeprefix("run_id: ").strip("'")
    (tmp_path / "outputs" / name).mkdir(parents=True)
    with FileLock(tmp_path / "outputs" / name / "lock"):
        code, _, said = seqbench("train", *SMALL)
    assert (code, said) == (
        2,
        f"seqbench: Another process is running {name}; wait for it, or change a setting.\n",
    )


def test_completion():
    def ask(line):
        env = {**os.environ, "COMP_LINE": line, "COMP_POINT": str(len(line)), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "seqbench", "-sc", "query=bash"]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.split()

    assert ask("seqbench tr") == ["train"]
    assert "model=scornn" in ask("seqbench train model=s")
    assert "train." in " ".join(ask("seqbench train trai"))
