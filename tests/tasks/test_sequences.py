"""Images, music and reviews as sequences: what a batch holds, and the metrics against sums made by hand."""

import json
import math

import numpy as np
import pytest
import real_data
import torch
import torch.nn.functional as F
from made_arrays import make_imdb, make_mnist, make_music

from seqbench.config.compose import composed
from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.data.arrays import mnist as mnist_files
from seqbench.data.arrays.store import ensure_arrays
from seqbench.engine.assemble import assemble_learner, assemble_task
from seqbench.engine.distributed import World
from seqbench.engine.run import train
from seqbench.errors import ConfigError
from seqbench.heads.sigmoid import Sigmoid
from seqbench.tasks.sequences.mnist import pixel_order

MAKE = {"mnist": make_mnist, "smnist": make_mnist, "pmnist": make_mnist, "music": make_music, "imdb": make_imdb}
SMALL = {
    **dict.fromkeys(("mnist", "smnist", "pmnist"), ("task.valid_size=7", "task.batch_size=6")),
    "music": ("task.batch_size=3",),
    "imdb": ("task.valid_size=5", "task.batch_size=4"),
}


@pytest.fixture
def config(tmp_path, monkeypatch):
    """`config(task, ...)` is one on made data."""
    (tmp_path / "raw").mkdir()

    def make(name, *settings):
        if not any((tmp_path / "raw").iterdir()):
            MAKE[name](tmp_path / "raw", monkeypatch)
        places = [f"{key}={tmp_path / key}" for key in ("data_dir", "output_dir", "results_dir")]
        return composed([f"task={name}", *SMALL[name], f"source={tmp_path / 'raw'}", *settings, *places])

    return make


def test_the_layouts_hold_the_same_pixels(config, tmp_path):
    vector, rows, pixels = (
        assemble_task(config("mnist", f"task.layout={layout}")).batch("test", 0)
        for layout in ("vector", "rows", "pixels")
    )
    assert vector.inputs.shape == (17, 1, 784) and vector.targets.tolist() == [*range(10), *range(7)]
    assert torch.equal(rows.inputs.flatten(1), vector.inputs.flatten(1))
    assert torch.equal(pixels.inputs.flatten(1), vector.inputs.flatten(1))
    images = ensure_arrays(mnist_files.MNIST, tmp_path / "data_dir", None, print)["test_images"]
    assert torch.equal(rows.inputs, torch.from_numpy(images / np.float32(255)))


def test_the_permutations_are_those_of_the_papers_codes(config):
    order = pixel_order("scornn")
    assert sorted(order) == [*range(784)] and order[:5].tolist() == [319, 576, 323, 107, 355]
    drawn = pixel_order("with_replacement")
    assert len(set(drawn)) == 501 and drawn[:5].tolist() == [37, 235, 72, 767, 715]
    plain, permuted = (assemble_task(config(name)).batch("train", 0).inputs[..., 0] for name in ("smnist", "pmnist"))
    assert torch.equal(permuted, plain[:, order])


def test_the_images_held_out_are_the_first_or_the_last(config):
    labels = {}
    for part in ("first", "last"):
        task = assemble_task(config("mnist", f"task.valid_from={part}"))
        labels[part] = task.batch("valid", 0).targets.tolist()
        assert len(task.rows["train"]) == 34
    assert labels == {"first": [0, 1, 2, 3, 4, 5, 6], "last": [4, 5, 6, 7, 8, 9, 0]}


def test_without_images_held_out_the_record_says_what_valid_is(config):
    task = assemble_task(config("smnist", "task.valid_size=0"))
    assert len(task.rows["train"]) == 41
    assert task.version["remark"] == "valid is scored on training images"
    with pytest.raises(ConfigError, match=r"^task: task\.valid_size is below the 41 training images, not 41\.$"):
        assemble_task(config("smnist", "task.valid_size=41"))


def test_ids_of_words_and_of_bytes(config):
    words, few, some_bytes, last = (
        assemble_task(config("imdb", "task.max_length=4", *settings)).batch("train", 0)
        for settings in ([], ["task.vocabulary_size=4"], ["task.tokens=bytes"], ["task.keep=last"])
    )
    assert words.inputs.shape[1] == 4 and int(words.inputs[words.inputs_valid_BT].min()) >= 2
    assert torch.equal(few.inputs, torch.where(words.inputs < 4, words.inputs, 1))
    whole = assemble_task(config("imdb", "task.max_length=100")).batch("train", 0)
    assert not whole.inputs_valid_BT.all() and torch.equal(whole.inputs != 0, whole.inputs_valid_BT)
    letters = {bytes((row - 1).tolist()) for row in some_bytes.inputs}
    assert letters <= {b"The ", b"film", b"wasn", b"<br ", b"caf\xc3", b"it's"}
    ends = [row[valid][-1] for row, valid in zip(last.inputs, last.inputs_valid_BT, strict=True)]
    assert len({(int(end), int(label)) for end, label in zip(ends, last.targets, strict=True)}) == 2  # bad or good


def test_reviews_may_be_padded_in_front_and_be_fewer(config):
    settings = ("imdb", "task.max_length=30", "task.eval_batch_size=24", "task.valid_size=6")
    behind, front = (
        assemble_task(config(*settings, f"task.pad={pad}")).batch("test", 0) for pad in ("behind", "in_front")
    )
    assert front.inputs_valid_BT is None and front.inputs.shape[1] == 30
    rows = [row[valid].tolist() for row, valid in zip(behind.inputs, behind.inputs_valid_BT, strict=True)]
    assert sorted([0] * (30 - len(row)) + row for row in rows) == sorted(front.inputs.tolist())
    assert len({len(row) for row in rows}) > 1
    few = assemble_task(config(*settings, "task.n_train=6", "task.batch_size=6")).batch("train", 0)
    assert few.targets.tolist().count(1) == 3
    with pytest.raises(ConfigError, match=r"task\.n_train is at most the 18 reviews to train on, not 19\.$"):
        assemble_task(config(*settings, "task.n_train=19"))


def test_reviews_held_out_have_both_labels(config):
    task = assemble_task(config("imdb", "task.valid_size=6"))
    assert task.batch("valid", 0).targets.tolist().count(1) == 3
    assert sorted([*task.rows["train"], *task.rows["valid"]]) == [*range(24)]


def test_an_error_is_the_share_of_wrong_classes(config):
    task_config = config("mnist", "model=lstm", "model.hidden_size=5")
    task = assemble_task(task_config)
    torch.manual_seed(0)
    learner = assemble_learner(task_config, task)
    batches = [task.batch("test", index) for index in range(task.n_batches("test"))]
    metrics = task.metrics(task.evaluate(learner, batches))
    logits_BC = torch.cat([learner.outputs(batch)[0] for batch in batches])
    labels_B = torch.cat([batch.targets for batch in batches])
    assert metrics["error"] == pytest.approx(float((logits_BC.argmax(1) != labels_B).float().mean()))
    assert metrics["accuracy"] == 1 - metrics["error"] and metrics["n_targets"] == 17
    assert metrics["nll"] == pytest.approx(float(F.cross_entropy(logits_BC, labels_B).detach()), rel=1e-6)
    assert task.selection == "error"


def test_music_is_scored_by_frame_and_by_sequence(config):
    task_config = config("music", "model=gru", "model.hidden_size=5", "task.eval_batch_size=3")
    task = assemble_task(task_config)
    torch.manual_seed(0)
    learner = assemble_learner(task_config, task)
    metrics = task.metrics(
        task.evaluate(learner, [task.batch("test", index) for index in range(task.n_batches("test"))])
    )
    sums, lengths = [], []
    for start, length in zip(task.rolls["test"].starts, task.rolls["test"].lengths, strict=True):
        roll = torch.tensor(task.rolls["test"].values[start : start + length]).float()
        z_TK = learner.outputs(Batch(roll[None, :-1], roll[None, 1:]))[0][0]
        sums.append(float(F.binary_cross_entropy_with_logits(z_TK.detach(), roll[1:], reduction="sum")))
        lengths.append(length - 1)
    assert metrics["n_targets"] == sum(lengths) == 15
    assert metrics["nll"] == pytest.approx(sum(sums) / sum(lengths), rel=1e-6)
    means = [total / length for total, length in zip(sums, lengths, strict=True)]
    assert metrics["nll_per_sequence"] == pytest.approx(sum(means) / len(means), rel=1e-6)


def test_bits_that_are_even_cost_a_ln_2_each():
    head = Sigmoid(3, 88)
    losses_N = head.losses(torch.zeros(2, 88), torch.eye(88)[:2])
    assert losses_N.tolist() == pytest.approx([88 * math.log(2)] * 2)


@pytest.mark.parametrize("name", MAKE)
def test_a_run_ends_with_a_record(config, name):
    record = train(
        config(name, "model=gru", "model.hidden_size=4", "train.max_steps=3", "train.threads=1", "train.eval_every=2"),
        World(composed(["train.device=cpu", "train.threads=1"]).train),
    )
    assert record is not None and record["status"] == "finished"
    assert set(record["metrics"]["test"]) >= ({"nll"} if name == "music" else {"nll", "error", "accuracy"})
    assert ("error" in record["curve"]) == (name != "music")


def test_a_head_must_fit(config):
    with pytest.raises(ConfigError, match=r"^Softmax is a head for classes, and this task's outputs are bits\.$"):
        task_config = config("music", "head=softmax", "model=gru", "model.hidden_size=4")
        assemble_learner(task_config, assemble_task(task_config))


def test_a_model_that_reads_ahead_is_refused(config):
    with pytest.raises(ConfigError, match=r"^Bidirectional is not causal: it would read what this"):
        task_config = config("music", "model=bidirectional")
        assemble_learner(task_config, assemble_task(task_config))


@pytest.mark.parametrize(("corpus", "n_frames", "nll"), [("jsb", 4_648, 11.09), ("piano_midi", 19_011, 11.05)])
def test_the_published_music_has_the_known_baseline(corpus, n_frames, nll, tmp_path):
    source = real_data.folder("music", "JSB_Chorales.mat")
    task = assemble_task(composed(["task=music", f"task.corpus={corpus}", f"source={source}", f"data_dir={tmp_path}"]))
    assert sum(task.batch("test", index).count() for index in range(task.n_batches("test"))) == n_frames
    assert round(task.baseline["nll"], 2) == nll
    assert task.inputs == Inputs(n_features=88) and task.outputs == Outputs("bits", 88)


@pytest.mark.slow
def test_two_processes_train_as_one(seqbench, tmp_path):
    source = real_data.folder("music", "JSB_Chorales.mat")
    curves = []
    for n_processes in (1, 2):
        code, _, errors = seqbench(
            *["train", "task=music", "model=gru", "model.hidden_size=8", f"source={source}"],
            *["train.max_steps=4", "train.eval_every=2", "train.threads=1", f"train.nproc={n_processes}", "seed=0"],
            *[f"{place}={tmp_path / place / str(n_processes)}" for place in ("output_dir", "results_dir", "data_dir")],
        )
        assert code == 0, errors
        (path,) = (tmp_path / "results_dir" / str(n_processes) / "runs").iterdir()
        curves.append(json.loads(path.read_text())["curve"]["nll"])
    assert curves[0] == pytest.approx(curves[1], rel=1e-5)
