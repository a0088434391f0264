"""Small data in the files of the published sets of arrays, whose checksums the table is told not to expect."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seqbench.data.arrays import mnist
from seqbench.data.arrays.published import Published


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
