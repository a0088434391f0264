"""Small data in the files of the published sets of arrays, whose checksums the table is told not to expect."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from seqbench.data.arrays import bike_flow as bike_flow_data
from seqbench.data.arrays import exchange_rate as exchange_rate_data
from seqbench.data.arrays import imdb, mnist, music
from seqbench.data.arrays.published import Published
from seqbench.tasks.forecast import bike_flow, exchange_rate


def write_idx(path: Path, array: np.ndarray) -> None:
    """An array of bytes in the IDX format."""
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes())


def unpinned(published: Published) -> Published:
    return replace(published, arrays=dict.fromkeys(published.arrays))


def make_mnist(folder: Path, monkeypatch: pytest.MonkeyPatch, n_train: int = 41, n_test: int = 17) -> None:
    """Images of noise that is brighter the higher the digit."""
    draw = np.random.default_rng(0)
    for stem, count in (("train", n_train), ("t10k", n_test)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = draw.integers(0, 20 * (1 + labels[:, None, None]), (count, 28, 28)).astype(np.uint8)
        write_idx(folder / f"{stem}-images-idx3-ubyte", images)
        write_idx(folder / f"{stem}-labels-idx1-ubyte", labels)
    monkeypatch.setattr(mnist, "MNIST", unpinned(mnist.MNIST))


def write_rolls(path: Path, lengths: dict[str, list[int]]) -> dict[str, list[np.ndarray]]:
    """Piano rolls of random chords in the MATLAB files' form, which are returned by the names of their cells."""
    draw, rolls = np.random.default_rng(0), {}
    for name, sizes in lengths.items():
        rolls[name] = [(draw.random((size, music.N_KEYS)) < 0.05).astype(np.uint8) for size in sizes]
        cells = np.empty((1, len(sizes)), object)
        cells[0] = rolls[name]
        rolls[name] = cells
    savemat(path, rolls)
    return {name: list(cells.flat) for name, cells in rolls.items()}


def make_music(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = {"traindata": [5, 9, 3, 7, 4, 12, 2], "validdata": [4, 6, 5], "testdata": [8, 3, 3, 5]}
    write_rolls(folder / "JSB_Chorales.mat", lengths)
    monkeypatch.setitem(music.CORPORA, "jsb", unpinned(music.CORPORA["jsb"]))


def make_imdb(folder: Path, monkeypatch: pytest.MonkeyPatch, n_reviews: int = 12) -> None:
    """Reviews whose length and words tell what they say."""
    draw = np.random.default_rng(0)
    for part in imdb.PARTS:
        rows = []
        for label, good in (("neg", "bad"), ("pos", "good")):
            for number in range(n_reviews):
                words = draw.choice(["The", "film", "wasn't", "<br />", "caf\u00e9", "it's"], draw.integers(1, 9))
                rows.append({"id": number, "label": label, "text": " ".join([*words, good])})
        (folder / f"{part}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    monkeypatch.setattr(imdb, "IMDB", unpinned(imdb.IMDB))


def make_exchange_rate(folder: Path, monkeypatch: pytest.MonkeyPatch, n_days: int = 61) -> np.ndarray:
    """Eight rates that walk at random, which are returned."""
    draw = np.random.default_rng(0)
    rates = np.exp(0.01 * draw.normal(size=(n_days, len(exchange_rate_data.COLUMNS))).cumsum(0))
    rows = [",".join([f"day {day}", *map(repr, row)]) for day, row in enumerate(rates.tolist())]
    text = "\n".join([",".join(["", *exchange_rate_data.COLUMNS]), *rows])
    (folder / "exchange_processed.csv").write_text(f"{text}\n")
    monkeypatch.setattr(exchange_rate, "EXCHANGE_RATE", unpinned(exchange_rate.EXCHANGE_RATE))
    return rates


def make_bike_flow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Random counts, more of them in test, which are returned."""
    draw = np.random.default_rng(0)
    sizes = {"train": (25, 9), "val": (13, 9), "test": (16, 14)}
    frames = {
        part: draw.integers(0, top, (count, *bike_flow_data.FRAME)).astype(np.int16)
        for part, (count, top) in sizes.items()
    }
    np.savez(folder / "bike_flow.npz", **frames)
    monkeypatch.setattr(bike_flow, "BIKE_FLOW", unpinned(bike_flow.BIKE_FLOW))
    return frames
