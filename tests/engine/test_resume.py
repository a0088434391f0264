"""Killed and resumed equals uninterrupted: the same weights and the same metrics.jsonl, byte for byte."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
import warm
from said import rows

TINY = [
    "task=copy",
    "task.delay=20",
    "task.valid_size=40",
    "task.test_size=40",
    "task.train_size=200",
    "model.hidden_size=16",
    "model.n_negative=8",
    "train.max_steps=30",
    "train.eval_every=10",
    "log.every=1",
    "checkpoint.every=2",
]


def finish(arguments, cwd):
    code, printed, errors = warm.call(cwd, ("train", *arguments))
    assert code == 0, printed + errors
    return next((cwd / "outputs").iterdir())


def kill_at_random(arguments, cwd, times, seed):
    """Start again and again, and kill -9 the whole process group at a random moment: a few rows on, and somewhere
    within the next step, save or evaluation; the last time, after a save. On a busy machine a run may end before the
    signal comes: then all anew."""
    chance, n_killed = random.Random(seed), 0

    def size():
        return sum(path.stat().st_size for path in cwd.glob("outputs/*/metrics.jsonl"))

    def saved():
        return any(cwd.glob("outputs/*/checkpoints/step-*.pt"))

    while n_killed < times:
        wanted = size() + chance.randint(1, 500)
        with warm.started(cwd, ("train", *arguments)) as process:
            while process.is_alive() and (size() < wanted or not (n_killed + 1 < times or saved())):
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.03))
            if process.is_alive():
                os.killpg(process.pid, signal.SIGKILL)
        if process.exitcode == -signal.SIGKILL:
            n_killed += 1
        else:
            assert process.exitcode == 0
            n_killed = 0
            shutil.rmtree(cwd / "outputs")


def state(folder: Path, kind: str):
    path = sorted((folder / "checkpoints").glob(f"{kind}-*.pt"))[-1]
    return torch.load(path, weights_only=True)


def assert_same_run(one: Path, other: Path):
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    for kind in ("step", "best"):
        first, second = state(one, kind), state(other, kind)
        for name, tensor in first["network"].items():
            assert torch.equal(tensor, second["network"][name]), (kind, name)
        assert first["progress"]["history"] == second["progress"]["history"]


def compare(arguments, tmp_path, times) -> Path:
    """The folder of the run that was not killed."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = finish(arguments, tmp_path / "whole")
    kill_at_random(arguments, tmp_path / "killed", times, seed=1)
    resumed = finish(arguments, tmp_path / "killed")
    assert state(resumed, "step")["progress"]["n_resumed"] >= 1  # to start over each time would come to the same
    assert_same_run(whole, resumed)
    return whole


TIMES = pytest.mark.parametrize("times", [3, pytest.param(10, marks=pytest.mark.slow)])


@TIMES
def test_kills_of_a_copy_run(tmp_path, times):
    compare([*TINY, "task.delay=100", "train.max_steps=200"], tmp_path, times)


TEXT_WITH_DROPOUT = ["network.dropout_output=0.5", "model.hidden_size=16", "embedding.d_embed=8", "model.dropout=0.5"]
TEXT_WITH_DROPOUT += ["train.eval_every=60", "log.every=1", "checkpoint.every=3", "task.bptt=5"]


def test_kills_of_a_text_run_with_dropout_and_carried_state(tmp_path):
    chance = random.Random(0)
    lines = (" ".join(chance.choices(["ka", "lo", "mi", "nu", "pe", "ri", "so", "tu"], k=9)) for _ in range(900))
    (tmp_path / "mine.txt").write_text("".join(f"{line}\n" for line in lines))
    arguments = ["task=text", f"source={tmp_path / 'mine.txt'}", f"data_dir={tmp_path / 'data'}", "model=lstm"]
    arguments += ["model.n_layers=2", "train.max_steps=60", "task.eval_window=100"]
    compare([*arguments, *TEXT_WITH_DROPOUT], tmp_path, times=2)


@pytest.mark.slow
def test_kills_of_a_ptb_run_with_dropout_and_carried_state(tmp_path, real_data):
    arguments = [
        "experiment=ptb_word/lstm_small",
        "train.max_epochs=null",
        "train.max_steps=60",
        "task.eval_window=500",
    ]
    arguments += [f"source={real_data / 'ptb'}", f"data_dir={tmp_path / 'data'}"]
    compare([*arguments, *TEXT_WITH_DROPOUT], tmp_path, times=10)


def test_kills_of_a_run_that_averages(tmp_path):
    arguments = [setting for setting in TINY if "n_negative" not in setting]
    arguments += ["model=lstm", "optimizer=nt_asgd", "optimizer.lr=20", "optimizer.nonmonotone_interval=0"]
    whole = compare([*arguments, "train.max_steps=40", "train.eval_every=2", "log.every=20"], tmp_path, times=3)
    last = state(whole, "step")
    counts = {one["n_averaged"] for one in last["optimizer"]["main"]["state"].values()}
    assert len(counts) == 1 and 20 < counts.pop() < 40
    averages = [one["average"] for one in last["optimizer"]["main"]["state"].values()]
    for name, tensor in last["network"].items():
        assert not any(torch.equal(tensor, average) for average in averages), name


@pytest.mark.slow
def test_kills_of_a_run_with_windows_of_random_length(tmp_path, real_data):
    # three micro-batches a step, from epochs of some 125 windows: the run sees an order and the next
    arguments = ["experiment=ptb_char/lstm", "train.max_epochs=null", "train.max_steps=60", "train.accumulate=3"]
    arguments += ["task.variable_bptt=true", "task.bptt=20", "task.batch_size=2000", "model.hidden_size=4"]
    arguments += ["train.eval_every=30", "log.every=1", "checkpoint.every=3", "task.eval_window=50000"]
    arguments += [f"source={real_data / 'ptb'}", f"data_dir={tmp_path / 'data'}"]
    compare(arguments, tmp_path, times=3)


def test_kills_on_the_reference_path(tmp_path):
    compare([*TINY, "model.backend=reference"], tmp_path, times=2)


def test_kills_of_a_run_with_statistics_of_batches(tmp_path):
    arguments = [setting for setting in TINY if "n_negative" not in setting]
    compare([*arguments, "model=bn_lstm", "model.norm.n_steps=30", "model.norm.n_batches=2"], tmp_path, times=1)


def test_kills_of_a_run_with_pooled_statistics(tmp_path):
    arguments = [setting for setting in TINY if "model" not in setting]
    arguments += ["model=mlp", "model.sizes=[8,8]", "norm@model.norm=pooled_batch_norm", "model.norm.n_batches=2"]
    compare(arguments, tmp_path, times=1)


def test_kills_of_a_run_that_rounds_at_random(tmp_path):
    """Activations on the way forth and gradients on the way back."""
    arguments = [setting for setting in TINY if "n_negative" not in setting] + ["model=quantized_lstm"]
    arguments += ["model.activations.stochastic=true", "quantizer@model.gradients=uniform"]
    compare([*arguments, "model.gradients.stochastic=true"], tmp_path, times=2)


def test_kills_of_a_run_with_a_continued_inverse(tmp_path):
    compare([*TINY, "model=nc_gru", "model.refresh_every=7"], tmp_path, times=2)


def test_kills_of_a_hebbian_softmax(tmp_path):
    compare([*TINY, "head=hebbian", "head.target_chunk=7"], tmp_path, times=2)


INSIDE = [setting for setting in TINY if not setting.startswith("model.")]
INSIDE += ["model=lstm", "model.hidden_size=8", "optimizer=ekfac", "optimizer.lr=0.01", "optimizer.basis_every=3"]


def test_kills_of_a_run_with_eigenbases(tmp_path):
    compare([*INSIDE, "optimizer.scaling_decay=0.5"], tmp_path, times=2)


@pytest.mark.slow
def test_kills_of_a_private_run(tmp_path, real_data):
    arguments = ["experiment=mnist_dp/lenet", f"source={real_data / 'mnist'}", f"data_dir={tmp_path / 'data'}"]
    arguments += ["train.max_epochs=null", "train.max_steps=20", "train.eval_every=10", "task.batch_size=30"]
    whole = compare([*arguments, "log.every=1", "checkpoint.every=3"], tmp_path, times=2)
    assert rows(whole)[-1]["valid"]["epsilon"] > 0


def test_kills_of_two_processes(tmp_path):
    compare([*TINY, "train.nproc=2", "train.max_steps=60"], tmp_path, times=1)


EQUILIBRIUM = [
    *[setting for setting in TINY if not setting.startswith("model.")],
    *["model=deq_transformer", "model.d_model=8", "model.n_heads=2", "model.d_inner=8", "model.span=10"],
    *["optimizer=sgd", "optimizer.lr=0.1"],
]
UNLIKE_AT_EVERY_STEP = ["model.equilibrium.pretrain_steps=15", "model.dropout=0.2", "model.dropout_attention=0.1"]
UNLIKE_AT_EVERY_STEP += [
    f"model.equilibrium.jacobian_{setting}" for setting in ("weight=0.5", "probability=0.5", "growth_steps=9")
]


@pytest.mark.parametrize("nproc", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_kills_of_an_equilibrium_model(tmp_path, nproc):
    """What it counts and draws: steps of pretraining and of a growing weight, masks, the Jacobian's probes."""
    settings = ["log.every=3", f"train.nproc={nproc}"]  # rows and saves at different steps
    compare([*EQUILIBRIUM, *UNLIKE_AT_EVERY_STEP, *settings], tmp_path, times=2)


def rows_of(arguments, cwd):
    cwd.mkdir()
    return rows(finish(arguments, cwd))


@pytest.mark.slow
@pytest.mark.parametrize("extra", [[], ["train.accumulate=2"]], ids=["plain", "accumulated"])
def test_one_process_equals_two_at_equilibrium(tmp_path, extra):
    exact = [f"model.equilibrium.{way}.tolerance=1e-5" for way in ("forward", "backward")]
    exact.append("model.equilibrium.pretrain_steps=4")
    settings = [*EQUILIBRIUM, *exact, *extra, "train.max_steps=10", "train.eval_every=5"]
    one, two = (rows_of([*settings, f"train.nproc={nproc}"], tmp_path / str(nproc)) for nproc in (1, 2))
    losses = [[row["loss"] for row in rows if "loss" in row] for rows in (one, two)]
    assert len(losses[0]) == 10 and losses[0] == pytest.approx(losses[1], rel=1e-5)  # float32, fixed points to 1e-5
    told = [[row for row in rows if "loss" in row and row["step"] > 4] for rows in (one, two)]
    assert "forward_evaluations" not in one[0] and len(told[0]) == 6
    for first, second in zip(*told, strict=True):
        for name in ("forward_evaluations", "backward_evaluations"):  # a mean over 20 sequences
            assert first[name] == pytest.approx(second[name], abs=0.11)
    (valid,) = [row["valid"] for row in one if "valid" in row and row["step"] == 10]
    assert valid["forward_residual"] < 1e-2 and "backward_residual" not in valid


SETTINGS = {
    "plain": [],
    "accumulated": ["train.accumulate=2", "train.grad_clip=0.01"],
    "hebbian": ["head=hebbian", "train.accumulate=2"],
    "adaptive on the reference path": ["head=adaptive", "head.cutoffs=[2,5]", "model.backend=reference"],
}


def losses_and_norms(arguments, cwd):
    rows = [row for row in rows_of(arguments, cwd) if "loss" in row]
    return [row["loss"] for row in rows], [row["grad_norm"] for row in rows]


QUICK = ("accumulated", "hebbian")


@pytest.mark.parametrize(
    "extra",  # a step of several batches has all that a step of one has
    [pytest.param(extra, id=name, marks=[pytest.mark.slow] * (name not in QUICK)) for name, extra in SETTINGS.items()],
)
def test_one_process_equals_two(tmp_path, extra):
    settings = [*TINY, "train.max_steps=12", *extra]
    one, two = (losses_and_norms([*settings, f"train.nproc={nproc}"], tmp_path / str(nproc)) for nproc in (1, 2))
    assert len(one[0]) == 12
    assert one[0] == pytest.approx(two[0], rel=1e-6)
    assert one[1] == pytest.approx(two[1], rel=1e-4)


@pytest.mark.slow
def test_one_process_equals_two_in_an_eigenbasis(tmp_path):
    """Gradients of a few 1e-7 apart turn its vectors: exactly equal in float64 (optim/test_inside_processes.py)."""
    settings = [*INSIDE, "train.max_steps=12", "optimizer.damping=0.1"]
    one, two = (losses_and_norms([*settings, f"train.nproc={nproc}"], tmp_path / str(nproc)) for nproc in (1, 2))
    assert len(one[0]) == 12 and one[0][-1] < one[0][0]
    assert one[0] == pytest.approx(two[0], rel=1e-4)


@pytest.mark.parametrize("nproc", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_accumulating_equals_a_larger_batch(tmp_path, nproc):
    """Batches of 20 and of 10, and clipping at every step: all their targets count alike, and all gradients as one."""
    settings = [*TINY, "task.train_size=30", "train.max_steps=6", "train.grad_clip=0.01"]
    whole = losses_and_norms([*settings, "task.batch_size=30"], tmp_path / "whole")
    parts = ["task.batch_size=20", "train.accumulate=2", f"train.nproc={nproc}"]
    parts = losses_and_norms([*settings, *parts], tmp_path / "parts")
    assert min(whole[1]) > 0.01
    assert whole[0] == pytest.approx(parts[0], rel=1e-6)
    assert whole[1] == pytest.approx(parts[1], rel=1e-4)


def test_one_process_equals_two_with_a_loss_of_the_models_own(tmp_path):
    """Three rows: the processes have unequal shares."""
    settings = [*(one for one in TINY if not one.startswith("model.")), "task.batch_size=3", "train.max_steps=4"]
    settings += ["model=awd_lstm", "model.hidden_size=8", "model.activation_weight=200"]
    settings += [f"model.dropout_{place}=0" for place in ("input", "hidden", "output", "recurrent")]
    one, two = (losses_and_norms([*settings, f"train.nproc={nproc}"], tmp_path / str(nproc)) for nproc in (1, 2))
    assert len(one[0]) == 4
    assert one[0] == pytest.approx(two[0], rel=1e-6)
    assert one[1] == pytest.approx(two[1], rel=1e-5)  # a share counted wrongly changes it by 1e-4
