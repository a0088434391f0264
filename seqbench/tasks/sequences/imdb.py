"""Whether a film's review is positive, from its words or bytes (Maas et al. 2011).

    tokens   ids                                                      papers
    words    0 padding, 1 any other word, 2, 3, ... by frequency
    bytes    0 padding, 1 + the byte                                  the "Text" task of Long Range Arena (2011.04006)

Words are in lower case, without punctuation (data/arrays/imdb.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch

from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.ranges import AtLeast, Count, NotNegativeInt, OneOf
from seqbench.data.arrays import imdb
from seqbench.data.arrays.order import orders
from seqbench.data.arrays.published import Published
from seqbench.data.arrays.ragged import Ragged
from seqbench.data.arrays.store import ArraySet, ensure_arrays
from seqbench.data.files.lock import say
from seqbench.data.random_bits import check_data_seed
from seqbench.tasks.sequences.labels import Labelling
from seqbench.tasks.sequences.of_arrays import OfArrays

_OTHER = 1  # id of a word beyond the vocabulary
_FIRST = 2  # id of the most frequent word
_SCORED_OF_TRAIN = 5_000  # reviews of valid where none is held out


class IMDB(OfArrays, Labelling):
    """Batches of ids (B, T), padded, and targets (B,), 1 for a positive review.

    - `vocabulary_size` counts the two ids that are no word; bytes have 257 ids whatever it is.
    - Of a longer review the first or last `max_length` tokens are read (`keep`).
    - `pad`: shorter ones are padded behind, or in front up to `max_length`, by a token like others, as Keras does.
    - `n_train`: so many of the reviews to train on, evenly spread; null: all.
    - `valid_size` of the 25,000 training reviews are held out for validation, evenly spread over both labels. With 0
      all are trained on and valid scores 5,000 of these, which cannot tell overfitting: use train.select=last then.
    - `data_seed` fixes the order of training reviews, new in each epoch, whatever the run's seed; reviews of like
      length come together.
    """

    def __init__(
        self,
        tokens: Annotated[str, OneOf("words", "bytes")],
        vocabulary_size: Annotated[int, AtLeast(_FIRST + 1)],
        max_length: Count,
        keep: Annotated[str, OneOf("first", "last")],
        valid_size: NotNegativeInt,
        batch_size: Count,
        eval_batch_size: Count,
        data_seed: int,
        data_dir: Path,
        source: str | None,
        pad: Annotated[str, OneOf("behind", "in_front")] = "behind",
        n_train: Count | None = None,
    ):
        check_data_seed(data_seed)
        arrays = ensure_arrays(imdb.IMDB, data_dir, source, say)
        n_reviews = len(arrays["train_labels"])
        if valid_size >= n_reviews:
            raise ValueError(f"task.valid_size is below the {n_reviews:,} training reviews, not {valid_size}")
        self.words, self.max_length, self.keep, self.pad = tokens == "words", max_length, keep, pad
        self.n_ids = vocabulary_size if self.words else 1 + 256
        part = "word" if self.words else "byte"
        self.reviews = {
            name: Ragged(arrays[f"{name}_{part}s"], arrays[f"{name}_{part}_lengths"]) for name in imdb.PARTS
        }
        self.labels = {name: arrays[f"{name}_labels"].astype(np.int64) for name in imdb.PARTS}
        held_out = _spread(n_reviews, valid_size)
        train = np.flatnonzero(~held_out)
        if n_train is not None and n_train > len(train):
            raise ValueError(f"task.n_train is at most the {len(train):,} reviews to train on, not {n_train}")
        self.rows = {
            "train": train if n_train is None else train[_spread(len(train), n_train)],
            "valid": np.flatnonzero(held_out if valid_size else _spread(n_reviews, _SCORED_OF_TRAIN)),
            "test": np.arange(len(self.labels["test"])),
        }
        lengths = {
            split: np.minimum(self.reviews[_part(split)].lengths[rows], max_length) for split, rows in self.rows.items()
        }
        sizes = {split: len(rows) for split, rows in self.rows.items()}
        self.index = orders(sizes, batch_size, eval_batch_size, data_seed, lengths if pad == "behind" else None)
        self.inputs, self.outputs = Inputs(n_tokens=self.n_ids), Outputs("classes", 2, per="sequence")
        self.version = {"name": f"imdb_{tokens}", "version": 1, "data_sha256": arrays.sha256}
        if not valid_size:
            self.version["remark"] = "valid is scored on training reviews"
        self.baseline: dict[str, float] = {}

    @classmethod
    def published(cls, settings: dict[str, Any]) -> Published:
        return imdb.IMDB

    @classmethod
    def contents(cls, arrays: ArraySet) -> str:
        n_reviews = " / ".join(f"{len(arrays[f'{part}_labels']):,}" for part in imdb.PARTS)
        n_words = " / ".join(f"{len(arrays[f'{part}_words']):,}" for part in imdb.PARTS)
        n_types = int((arrays["vocabulary"] == ord("\n")).sum()) + 1
        return f"{n_reviews} reviews, {n_words} words, {n_types:,} types"

    def n_batches(self, split: str) -> int:
        return self.index[split].n_batches

    def batch(self, split: str, index: int) -> Batch:
        rows_B = self.rows[split][self.index[split].examples(index)]
        tokens_BT, valid_BT = self.reviews[_part(split)].padded(rows_B, self.max_length, self.keep == "last")
        ids_BT = tokens_BT.astype(np.int64) + (_FIRST if self.words else 1)
        ids_BT = np.where(ids_BT < self.n_ids, ids_BT, _OTHER)
        ids_BT[~valid_BT] = 0
        if self.pad == "in_front":
            ids_BT, valid_BT = _in_front(ids_BT, valid_BT.sum(1), self.max_length), None
        targets_B = torch.from_numpy(self.labels[_part(split)][rows_B])
        inputs_valid_BT = None if valid_BT is None else torch.from_numpy(valid_BT)
        return Batch(torch.from_numpy(ids_BT), targets_B, inputs_valid_BT=inputs_valid_BT)


def _in_front(ids_BT: np.ndarray, lengths_B: np.ndarray, length: int) -> np.ndarray:
    """Rows padded behind, padded in front instead, to `length`."""
    moved = np.zeros((len(ids_BT), length), ids_BT.dtype)
    for row, (ids_T, n_tokens) in enumerate(zip(ids_BT, lengths_B, strict=True)):
        moved[row, length - n_tokens :] = ids_T[:n_tokens]
    return moved


def _spread(count: int, n_chosen: int) -> np.ndarray:
    """Which of `count` are the `n_chosen`, evenly spread."""
    return np.arange(count) * n_chosen % count < n_chosen


def _part(split: str) -> str:
    return "test" if split == "test" else "train"
