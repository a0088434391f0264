"""Every experiment on Multi30k learns something in a few steps of made text, at its own size; those on WMT14, made
small, take a step and are translated as their files say."""

import json

import numpy as np
import pytest
from said import losses

from seqbench.config.nodes import options
from seqbench.config.schema import folder

WORDS = ["ka", "lo", "mi", "nu", "pe", "ri", "so", "tu"]
NAMES = [name for name in options("experiment") if name.startswith("multi30k_ende/")]
TRANSFORMER = ["model.d_model=16", "model.n_heads=2", "model.n_layers=1", "model.d_inner=16", "embedding.d_embed=16"]
WMT14 = {
    "transformer_base": TRANSFORMER,
    "convs2s": ["model.encoder_layers=[[16,3]]", "model.decoder_layers=[[16,3]]", "model.d_hidden=16"],
    "gnmt": ["model.hidden_size=16", "model.n_layers=4", "model.d_attention=16"],
    "translation_transformer/adafactor_full": TRANSFORMER,
    "translation_transformer/adafactor_mimic_adam": TRANSFORMER,
}


def write(raw, stems):
    raw.mkdir()
    draw = np.random.default_rng(0)
    for stem, size in zip(stems, (300, 20, 10), strict=True):
        rows = [[WORDS[i] for i in draw.integers(0, len(WORDS), draw.integers(2, 6))] for _ in range(size)]
        (raw / f"{stem}.en").write_text("".join(f"{' '.join(row)}\n" for row in rows))
        (raw / f"{stem}.de").write_text("".join(f"{' '.join(row[::-1]).upper()}\n" for row in rows))
    return raw


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return write(tmp_path_factory.mktemp("made") / "raw", ("train", "val", "test_2016_flickr"))


@pytest.fixture(scope="module")
def raw_wmt14(tmp_path_factory):
    return write(tmp_path_factory.mktemp("wmt14") / "raw", ("train", "newstest2013", "newstest2014"))


# transformer_small in other ways, and what takes seconds a step
REPEATED = [name for name in NAMES if "transformer_small_" in name or name.endswith("/deq")]


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in REPEATED)) for name in NAMES])
def test_the_loss_falls(seqbench, raw, tmp_path, name):
    small = ["task.vocabulary_size=300", "task.batch_tokens=400", "train.max_epochs=null", "train.max_steps=25"]
    small += ["train.threads=1", "log.every=1", f"source={raw}", f"data_dir={raw.parent / 'data'}"]
    if "transformer" in name and "adafactor" not in name:
        small += ["schedule.warmup_steps=50"]  # or nothing happens in so few steps
    code, _, wrong = seqbench("train", f"experiment={name}", *small)
    assert code == 0, wrong
    found = losses(tmp_path / "outputs")
    assert np.mean(found[-5:]) < np.mean(found[:3]) - 0.3


@pytest.mark.parametrize("name", WMT14)
def test_wmt14_takes_a_step(seqbench, raw_wmt14, tmp_path, name):
    small = ["task.vocabulary_size=300", "task.batch_tokens=400", "train.max_epochs=null", "train.max_steps=1"]
    small += ["train.threads=1", f"source={raw_wmt14}", f"data_dir={raw_wmt14.parent / 'data'}", "embedding.d_embed=16"]
    code, _, wrong = seqbench("train", f"experiment=wmt14_ende/{name}", *small, *WMT14[name])
    assert code == 0, wrong
    text = (folder() / "experiment" / "wmt14_ende" / f"{name}.yaml").read_text()
    told = [word for word in text.replace("#", " ").split() if word.startswith("evaluation") and "=" in word]
    (run,) = (tmp_path / "outputs").iterdir()
    code, said, wrong = seqbench("eval", f"run={run.name}", *(told or ["evaluation=beam"]), "split=valid")
    assert code == 0, wrong
    found = json.loads(said)
    assert "bleu" in found["metrics"]
    asked = dict(word.removeprefix("evaluation.").split("=") for word in told if word.startswith("evaluation."))
    assert {key: str(found["settings"][key]) for key in asked} == asked


def test_there_are_such_experiments():
    assert len(NAMES) >= 7
