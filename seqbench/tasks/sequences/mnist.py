"""MNIST, a class of 10 for each image: read at once, by rows or by pixels (Le, Jaitly, Hinton 2015, arXiv 1504.00941).

    layout   inputs          papers
    vector   (B, 1, 784)     networks without time: an image is one step
    rows     (B, 28, 28)     28 steps of a row each, or an image for convolutions
    pixels   (B, 784, 1)     sequential MNIST; with a permutation of the pixels, the same for all images, permuted MNIST

Pixels are between 0 and 1. A permutation is null or

    scornn              numpy.random.RandomState(92916).permutation(784): scoRNN, expRNN and many after them
    with_replacement    numpy.random.RandomState(1).randint(0, 784, 784), which is none: 283 pixels are never seen and
                        others repeat. So the code of recurrent batch normalisation draws it (arXiv 1603.09025)
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch

from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.ranges import Count, NotNegativeInt, OneOf
from seqbench.contracts.task import SPLITS
from seqbench.data.arrays import mnist
from seqbench.data.arrays.order import orders
from seqbench.data.arrays.published import Published
from seqbench.data.arrays.store import ArraySet, ensure_arrays
from seqbench.data.files.lock import say
from seqbench.data.random_bits import check_data_seed
from seqbench.tasks.sequences.labels import Labelling
from seqbench.tasks.sequences.of_arrays import OfArrays

N_PIXELS = mnist.SIDE**2
SHAPES = {"vector": (1, N_PIXELS), "rows": (mnist.SIDE, mnist.SIDE), "pixels": (N_PIXELS, 1)}  # (T, D)
_SCORED_OF_TRAIN = 5_000  # images of valid where none is held out


class MNIST(OfArrays, Labelling):
    """Batches of inputs (B, T, D) as `layout` has them, and targets (B,).

    - `valid_size` images are held out of the 60,000 for validation: the first ones, as TensorFlow's reader and with it
      scoRNN have them, or the last ones (`valid_from`). With 0 all are trained on and valid scores the first 5,000 of
      these, which cannot tell overfitting: use train.select=last then.
    - `binary`: pixels are 0 or 1, 1 from a half on.
    - `data_seed` fixes the order of training images, new in each epoch, whatever the run's seed.
    """

    def __init__(
        self,
        layout: Annotated[str, OneOf(*SHAPES)],
        permutation: Annotated[str, OneOf("scornn", "with_replacement")] | None,
        valid_size: NotNegativeInt,
        valid_from: Annotated[str, OneOf("first", "last")],
        batch_size: Count,
        eval_batch_size: Count,
        data_seed: int,
        data_dir: Path,
        source: str | None,
        binary: bool = False,
    ):
        check_data_seed(data_seed)
        arrays = ensure_arrays(mnist.MNIST, data_dir, source, say)
        n_train = len(arrays["train_labels"])
        if valid_size >= n_train:
            raise ValueError(f"task.valid_size is below the {n_train:,} training images, not {valid_size}")
        self.shape, self.binary = SHAPES[layout], binary
        self.place = pixel_order(permutation)
        held_out = np.arange(n_train) < valid_size if valid_from == "first" else _last(n_train, valid_size)
        train, valid = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        rows = {"train": train, "valid": valid if valid_size else train[:_SCORED_OF_TRAIN]}
        self.images = dict.fromkeys(SPLITS, arrays["train_images"]) | {"test": arrays["test_images"]}
        self.labels = dict.fromkeys(SPLITS, arrays["train_labels"]) | {"test": arrays["test_labels"]}
        self.rows = rows | {"test": np.arange(len(arrays["test_labels"]))}
        sizes = {split: len(rows) for split, rows in self.rows.items()}
        self.index = orders(sizes, batch_size, eval_batch_size, data_seed)
        self.inputs, self.outputs = Inputs(n_features=self.shape[1]), Outputs("classes", 10, per="sequence")
        name = f"{'binary_' if binary else ''}mnist{'' if layout == 'vector' else f'_{layout}'}"
        self.version = {
            "name": name if permutation is None else f"permuted_{name}",
            "version": 1,
            "data_sha256": arrays.sha256,
        }
        if not valid_size:
            self.version["remark"] = "valid is scored on training images"
        self.baseline: dict[str, float] = {}

    @classmethod
    def published(cls, settings: dict[str, Any]) -> Published:
        return mnist.MNIST

    @classmethod
    def contents(cls, arrays: ArraySet) -> str:
        return f"{' / '.join(f'{len(arrays[one]):,}' for one in ('train_labels', 'test_labels'))} images"

    def n_batches(self, split: str) -> int:
        return self.index[split].n_batches

    def batch(self, split: str, index: int) -> Batch:
        rows_B = self.rows[split][self.index[split].examples(index)]
        pixels_BN = self.images[split][rows_B].reshape(len(rows_B), N_PIXELS)[:, self.place]
        values_BN = (pixels_BN >= 128).astype(np.float32) if self.binary else pixels_BN.astype(np.float32) / 255
        inputs_BTD = values_BN.reshape(len(rows_B), *self.shape)
        return Batch(torch.from_numpy(inputs_BTD), torch.from_numpy(self.labels[split][rows_B].astype(np.int64)))


def pixel_order(permutation: str | None) -> np.ndarray:
    """(784,) which pixel each position reads."""
    if permutation is None:
        return np.arange(N_PIXELS)
    if permutation == "scornn":
        return np.random.RandomState(92916).permutation(N_PIXELS)
    return np.random.RandomState(1).randint(0, N_PIXELS, size=N_PIXELS)


def _last(count: int, n_last: int) -> np.ndarray:
    return np.arange(count) >= count - n_last
