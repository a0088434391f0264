"""Runs from their start to their record, in precisions and numbers of processes, and ranks that die."""

import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import small_run
from said import losses, rows

from seqbench.config.compose import composed
from seqbench.engine import worker as engine_worker

ROOT = Path(__file__).parents[2]
SMALL = [*small_run.SMALL, "train.max_steps=6", "train.eval_every=3", "log.every=1"]
BROKEN_RANK = """
import os
if os.environ.get("RANK") == "1":
    import seqbench.engine.loop as loop
    def train_step(run):
        raise ValueError("this rank is broken")
    loop.train_step = train_step
"""


def record(folder):
    return json.loads(next(folder.glob("results/runs/*.json")).read_text())


# Two applications of the block. The fixed point of an untrained one is hardly defined: its residual path lets a change
# of z pass nearly whole, so that float32 alone, at d_model=16, gives losses 3 % apart with AVX2 and with AVX-512.
TWO_APPLICATIONS = [f"solver@model.equilibrium.{way}=plain" for way in ("forward", "backward")]
TWO_APPLICATIONS += [f"model.equilibrium.{way}.max_steps=2" for way in ("forward", "backward")]


@pytest.mark.parametrize(
    ("model", "own"),
    [
        ("scornn", [setting for setting in SMALL if setting.startswith("model.")]),
        ("lstm", ["optimizer.lr=0.03"]),
        ("gru", ["optimizer.lr=0.03"]),
        ("deq_transformer", TWO_APPLICATIONS),
        ("deq_trellisnet", ["optimizer.lr=0.03"]),
    ],
)
def test_bfloat16_stays_near_float32(seqbench, tmp_path, model, own):
    shared = [setting for setting in SMALL if not setting.startswith("model.")]
    by_precision = {}
    for precision in ("fp32", "bf16"):
        settings = [*shared, *own, f"model={model}", f"train.precision={precision}", f"output_dir={precision}"]
        code, _, errors = seqbench("train", *settings)
        assert code == 0, errors
        by_precision[precision] = losses(tmp_path / precision)
    full, half = by_precision["fp32"], by_precision["bf16"]
    if model == "scornn":
        assert full == half  # its recurrence and readout stay in float32
        return
    # One rounding to bfloat16 errs by at most 2^-8. A logit, of size 1 or so before training, has some eight of them
    # behind it (two factors and a result for each product, over two layers), in random directions: sqrt(8) 2^-8, or
    # 0.011. 2^-7 of these losses is 0.011 to 0.025, and a mean over 600 tokens errs by less than each does.
    bound = 2**-7
    assert full != half
    assert half == pytest.approx(full, rel=bound)
    assert full[0] - full[-1] > 3 * bound * full[0]  # so that weights which are not updated, or not enough, are noticed


@pytest.mark.parametrize("model", ["lstm", pytest.param("awd_lstm", marks=pytest.mark.slow)])
@pytest.mark.parametrize("isa", ["AVX2", pytest.param("AVX512_CORE", marks=pytest.mark.slow)])
def test_float16_where_torch_has_no_lstm_of_it_is_float32(seqbench, tmp_path, model, isa):
    """oneDNN has LSTMs of some half precisions with some instructions only."""
    own = [setting for setting in SMALL if not setting.startswith("model.")]
    own += [f"model={model}", "model.hidden_size=8", "train.device=cpu", "optimizer.lr=0.03"]
    by_precision = {}
    for precision in ("fp32", "fp16"):
        settings = [*own, f"train.precision={precision}", f"output_dir={precision}"]
        code, _, errors = seqbench("train", *settings, ONEDNN_MAX_CPU_ISA=isa)
        assert code == 0, errors
        by_precision[precision] = losses(tmp_path / precision)
    full, half = by_precision["fp32"], by_precision["fp16"]
    # Only the readout is left to float16, which errs by 2^-11 in a rounding: two factors and a result make 2^-10 of a
    # logit of size 1 or so, and less of a mean. A step not made, as where scaled gradients overflow, costs 2^-8.
    bound = 2**-10
    assert half == pytest.approx(full, rel=bound)
    assert full[0] - full[-1] > 5 * bound * full[0]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="asks torch to do without an x86 CPU's AVX-512")
def test_half_precision_without_avx512_is_said_to_be_slow(seqbench):
    for precision, said in [("fp32", False), ("bf16", True)]:
        settings = [*SMALL, f"train.precision={precision}", "train.device=cpu"]
        code, printed, errors = seqbench("train", *settings, ATEN_CPU_CAPABILITY="avx2")
        assert code == 0, errors
        line = "This CPU has no AVX-512: train.precision=bf16 is many times slower than fp32 here."
        assert (line in " ".join(printed.split())) is said


def test_the_record_says_what_was_run(seqbench, tmp_path):
    code, _, errors = seqbench("train", *SMALL, "train.deterministic=false", "train.threads=1", "seed=3")
    assert code == 0, errors
    said = record(tmp_path)
    assert said["deterministic"] is False and said["seed"] == 3 and said["n_threads"] == 1
    assert said["steps"] == 6 and said["epochs"] == 3.0 and said["selected_step"] in (3, 6)
    assert said["parameters"]["recurrent"] == 28
    assert said["device"].startswith(("cpu: ", "cuda: ")) and said["peak_memory_mib"] > 50
    assert said["versions"]["torch"] and said["task_version"]["name"] == "copy"
    (path,) = tmp_path.glob("outputs/*/metrics.jsonl")
    evaluations = [row for row in map(json.loads, path.read_text().splitlines()) if "valid" in row]
    assert said["train_loss"] == evaluations[-1]["train"] != evaluations[0]["train"]
    assert said["metrics"]["baseline"]["nll"] == pytest.approx(10 * 2.0794415416798357 / 30)


def test_a_run_that_diverges_keeps_the_last_good_checkpoint(seqbench, tmp_path):
    code, _, said = seqbench("train", *SMALL, "optimizer=sgd", "optimizer.lr=1e30", "checkpoint.every=1")
    assert code == 1
    assert said == (
        "seqbench: The loss is not finite (nan) by step 2; the last good checkpoint is kept. A lower learning rate "
        "(optimizer.lr) or train.grad_clip may help.\n"
    )
    assert list((tmp_path / "results" / "runs").iterdir()) == []
    assert [path.name[:15] for path in tmp_path.glob("outputs/*/checkpoints/*")] == ["step-0000000001"]


@pytest.mark.parametrize("max_steps", [1, 3])
def test_an_evaluation_that_is_not_finite_ends_a_run(seqbench, tmp_path, max_steps):
    """The loss before the step that broke it was, and so was the gradient."""
    settings = ["optimizer=sgd", "optimizer.lr=1e38", "train.eval_every=1", f"train.max_steps={max_steps}"]
    code, _, said = seqbench("train", *SMALL, *settings)
    assert code == 1
    assert said.startswith("seqbench: The nll on valid is not finite (nan) at step 1; the last good checkpoint is")
    assert list((tmp_path / "results" / "runs").iterdir()) == []
    assert list(tmp_path.glob("outputs/*/checkpoints/*")) == []


def test_epochs_are_counted_in_batches(seqbench, tmp_path):
    """Steps of four of an epoch's ten batches."""
    settings = [setting for setting in SMALL if "steps" not in setting and "every" not in setting]
    settings += ["task.batch_size=4", "train.accumulate=4", "train.max_steps=null", "train.max_epochs=2"]
    code, _, said = seqbench("train", *settings)
    assert code == 0, said
    assert (record(tmp_path)["steps"], record(tmp_path)["epochs"]) == (5, 2.0)
    assert record(tmp_path)["curve"]["steps"] == [3, 5]


@pytest.mark.slow
def test_processes_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(engine_worker, "n_cores", lambda: 6)
    places = [f"output_dir={tmp_path / 'outputs'}", f"results_dir={tmp_path / 'results'}", "train.nproc=2"]
    assert engine_worker.run_in_processes(composed([*SMALL, *places]))["n_threads"] == 3


DIVERGING = [
    *[setting for setting in SMALL if not setting.startswith("model.")],
    *["model=deq_trellisnet", "model.hidden_size=8", "model.init_std=8"],
    "solver@model.equilibrium.forward=plain",
]


@pytest.mark.parametrize(("pretrain_steps", "kept"), [(3, (1, 2)), (4, (3, 4))], ids=["evaluation", "step"])
def test_an_equilibrium_that_is_not_found_stops_the_run(seqbench, tmp_path, pretrain_steps, kept):
    settings = ["model.equilibrium.on_failure=stop", "checkpoint.every=1"]
    settings.append(f"model.equilibrium.pretrain_steps={pretrain_steps}")
    code, _, said = seqbench("train", *DIVERGING, *settings)
    assert code == 1
    assert re.fullmatch(
        r"seqbench: The forward solver failed on \d+ of 20 sequences \(residual [\d.]+\)\. A lower learning rate, "
        r"equilibrium\.jacobian_weight or equilibrium\.pretrain_steps may help; equilibrium\.on_failure=continue goes "
        r"on with the best iterate\. The last good checkpoint is kept\.\n",
        said,
    )
    found = sorted(path.name[:15] for path in tmp_path.glob("outputs/*/checkpoints/step*"))
    assert found == [f"step-{step:010d}" for step in kept]


def test_an_equilibrium_that_is_not_found_is_counted(seqbench, tmp_path):
    code, _, errors = seqbench("train", *DIVERGING, "model.equilibrium.on_failure=continue")
    assert code == 0, errors
    assert all(row["forward_failed"] > 0.5 for row in rows(tmp_path / "outputs") if "loss" in row)
    assert record(tmp_path)["metrics"]["test"]["forward_failed"] > 0.5


@pytest.mark.slow
def test_a_broken_rank_fails_the_run_with_its_own_error(seqbench, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(BROKEN_RANK)
    code, _, said = seqbench("train", *SMALL, "train.nproc=2", PYTHONPATH=f"{tmp_path / 'site'}:{ROOT}")
    assert code == 1
    assert said.startswith("seqbench: Process 1 failed:\nTraceback")
    assert said.endswith("ValueError: this rank is broken\n")


def worker(rank: str, place: Path) -> int | None:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
            if str(place).encode() in command and f"RANK={rank}\0".encode() in (folder / "environ").read_bytes():
                return int(folder.name)
        except OSError:
            continue
    return None


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the process in /proc")
def test_a_killed_rank_fails_the_run_at_once(tmp_path):
    settings = [*SMALL, "train.max_steps=100000", "train.nproc=2", f"output_dir={tmp_path / 'outputs'}"]
    command = [sys.executable, "-m", "seqbench", "train", *settings]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 120
        while not list(tmp_path.glob("outputs/*/metrics.jsonl")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        os.kill(worker("1", tmp_path), signal.SIGKILL)
        said = process.communicate(timeout=60)[1].decode()
    finally:
        process.kill()
    assert process.returncode == 1
    assert said == "seqbench: Process 1 died with code -9 and no error of its own; code -9 is often a lack of memory.\n"


def test_no_worker_outlives_a_killed_run(tmp_path):
    settings = [*SMALL, "train.max_steps=100000", "train.nproc=2", f"output_dir={tmp_path / 'outputs'}"]
    command = [sys.executable, "-m", "seqbench", "train", *settings]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    while not list(tmp_path.glob("outputs/*/metrics.jsonl")):
        assert process.poll() is None
        time.sleep(0.1)
    assert worker("0", tmp_path) is not None
    process.kill()  # this process alone, not its group
    process.wait()
    deadline = time.monotonic() + 120  # one that stays trains on for many minutes
    while worker("0", tmp_path) or worker("1", tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_vanishing_gradients_do_not_slow_a_run():
    """Denormal numbers are flushed, in this thread and in those that it starts."""
    code = """if True:
        import threading, torch
        from seqbench.config.schema import TrainConfig
        from seqbench.engine.distributed import World
        World(TrainConfig(device="cpu", threads=2))
        x, found = torch.full((100_000,), 1e-40), []
        thread = threading.Thread(target=lambda: found.append((x * 0.5).abs().max()))
        thread.start(), thread.join()
        assert found == [0.0] and not (x * 0.5).any()
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_noise_on_the_weights_is_gone_after_each_step(seqbench, tmp_path):
    unmoved = ["optimizer=noisy_rmsprop", "optimizer.noise=0.5", "optimizer.lr=1e-30", "train.eval_every=1"]
    code, _, errors = seqbench("train", *SMALL, *unmoved)
    assert code == 0, errors
    assert len({*record(tmp_path)["curve"]["nll"]}) == 1
