"""Every experiment on Multi30k learns something in a few steps of made text, at its own size."""

import numpy as np
import pytest
from said import losses

from seqbench.compose import options

WORDS = ["ka", "lo", "mi", "nu", "pe", "ri", "so", "tu"]
NAMES = [name for name in options("experiment") if name.startswith("multi30k_ende/")]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "raw"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for stem, size in (("train", 300), ("val", 20), ("test_2016_flickr", 10)):
        rows = [[WORDS[i] for i in draw.integers(0, len(WORDS), draw.integers(2, 6))] for _ in range(size)]
        (folder / f"{stem}.en").write_text("".join(f"{' '.join(row)}\n" for row in rows))
        (folder / f"{stem}.de").write_text("".join(f"{' '.join(row[::-1]).upper()}\n" for row in rows))
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_falls(seqbench, raw, tmp_path, name):
    small = ["task.vocabulary_size=300", "task.batch_tokens=400", "train.max_epochs=null", "train.max_steps=25"]
    small += ["train.threads=1", "log.every=1", f"source={raw}", f"data_dir={raw.parent / 'data'}"]
    if "transformer" in name and "adafactor" not in name:
        small += ["schedule.warmup_steps=50"]  # or nothing happens in so few steps
    code, _, wrong = seqbench("train", f"experiment={name}", *small)
    assert code == 0, wrong
    found = losses(tmp_path / "outputs")
    assert np.mean(found[-5:]) < np.mean(found[:3]) - 0.3


def test_there_are_such_experiments():
    assert len(NAMES) >= 7
