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
    ):
        check_data_seed(data_seed)
        arrays = ensure_arrays(imdb.IMDB, data_dir, source, say)
        n_train = len(arrays["train_labels"])
        if valid_size >= n_train:
            raise ValueError(f"task.valid_size is below the {n_train:,} training reviews, not {valid_size}")
        self.words, self.max_length, self.keep = tokens == "words", max_length, keep
        self.n_ids = vocabulary_size if self.words else 1 + 256
        part = "word" if self.words else "byte"
        self.reviews = {
            name: Ragged(arrays[f"{name}_{part}s"], arrays[f"{name}_{part}_lengths"]) for name in imdb.PARTS
        }
        self.labels = {name: arrays[f"{name}_labels"].astype(np.int64) for name in imdb.PARTS}
        number = np.arange(n_train)
        held_out = number * valid_size % n_train < valid_size
        scored_of_train = number * _SCORED_OF_TRAIN % n_train < _SCORED_OF_TRAIN
        self.rows = {
            "train": np.flatnonzero(~held_out),
            "valid": np.flatnonzero(held_out if valid_size else scored_of_train),
            "test": np.arange(len(self.labels["test"])),
        }
        lengths = {
            split: np.minimum(self.reviews[_part(split)].lengths[rows], max_length) for split, rows in self.rows.items()
        }
        sizes = {split: len(rows) for split, rows in self.rows.items()}
        self.index = orders(sizes, batch_size, eval_batch_size, data_seed, lengths)
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
        targets_B = torch.from_numpy(self.labels[_part(split)][rows_B])
        return Batch(torch.from_numpy(ids_BT), targets_B, inputs_valid_BT=torch.from_numpy(valid_BT))


def _part(split: str) -> str:
    return "test" if split == "test" else "train"
