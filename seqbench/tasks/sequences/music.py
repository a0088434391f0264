"""Polyphonic music: the keys of the next frame, given all so far (Boulanger-Lewandowski et al. 2012).

arXiv 1206.6392.

    input    frame 1, ..., T - 1: which of 88 keys sound
    target   frame 2, ..., T

`nll` is in nats a frame, summed over the 88 keys and averaged over all scored frames of a split, as the TCN's code has
it (Bai, Kolter, Koltun 2018, arXiv 1803.01271). `nll_per_sequence` averages over sequences each one's mean, which is
another number (data/arrays/music.py has the four corpora).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch

from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.ranges import Count, OneOf
from seqbench.contracts.task import SPLITS, Sums, Task
from seqbench.data.arrays.music import CORPORA, N_KEYS
from seqbench.data.arrays.order import orders
from seqbench.data.arrays.published import Published
from seqbench.data.arrays.ragged import Ragged
from seqbench.data.arrays.store import ArraySet, ensure_arrays
from seqbench.data.files.lock import say
from seqbench.data.random_bits import check_data_seed
from seqbench.errors import did_you_mean
from seqbench.evaluation.scoring import score_sequences
from seqbench.tasks.sequences.of_arrays import OfArrays

_SMOOTHING = 0.5  # counts added to each key's, on and off


class Music(OfArrays, Task):
    """Batches of whole sequences, padded: inputs (B, T, 88) and targets of that shape.

    `data_seed` fixes the order of training sequences, new in each epoch, whatever the run's seed; sequences of like
    length come together. The baseline is each key's frequency in the training frames.
    """

    autoregressive = True

    def __init__(
        self,
        corpus: Annotated[str, OneOf(*CORPORA)],
        batch_size: Count,
        eval_batch_size: Count,
        data_seed: int,
        data_dir: Path,
        source: str | None,
    ):
        check_data_seed(data_seed)
        arrays = ensure_arrays(_named(corpus), data_dir, source, say)
        self.rolls = {split: Ragged(arrays[f"{split}_frames"], arrays[f"{split}_lengths"]) for split in SPLITS}
        lengths = {split: rolls.lengths for split, rolls in self.rolls.items()}
        sizes = {split: len(of_split) for split, of_split in lengths.items()}
        self.index = orders(sizes, batch_size, eval_batch_size, data_seed, lengths)
        self.inputs, self.outputs = Inputs(n_features=N_KEYS), Outputs("bits", N_KEYS)
        self.version = {"name": corpus, "version": 1, "data_sha256": arrays.sha256}
        self.baseline = {"nll": self._baseline()}

    @classmethod
    def published(cls, settings: dict[str, Any]) -> Published:
        return _named(settings["corpus"])

    @classmethod
    def contents(cls, arrays: ArraySet) -> str:
        n_sequences = " / ".join(f"{len(arrays[f'{split}_lengths']):,}" for split in SPLITS)
        n_frames = " / ".join(f"{len(arrays[f'{split}_frames']):,}" for split in SPLITS)
        return f"{n_sequences} sequences, {n_frames} frames"

    def n_batches(self, split: str) -> int:
        return self.index[split].n_batches

    def batch(self, split: str, index: int) -> Batch:
        frames_BTK, valid_BT = self.rolls[split].padded(self.index[split].examples(index))
        frames_BTK, valid_BT = torch.from_numpy(frames_BTK).float(), torch.from_numpy(valid_BT[:, 1:])
        return Batch(frames_BTK[:, :-1], frames_BTK[:, 1:], valid_BT.clone(), inputs_valid_BT=valid_BT.clone())

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score_sequences(learner, batches)

    def metrics(self, sums: Sums) -> dict[str, float]:
        (nll, n_targets), (means, n_sequences) = sums["nll"], sums["nll_per_sequence"]
        return {"nll": nll / n_targets, "nll_per_sequence": means / n_sequences, "n_targets": n_targets}

    def _baseline(self) -> float:
        """The nll of the test frames under each key's frequency."""
        frames_NK = self.rolls["train"].values
        p_K = (frames_NK.sum(0) + _SMOOTHING) / (len(frames_NK) + 2 * _SMOOTHING)
        test = self.rolls["test"]
        scored_NK = np.delete(test.values, test.starts, 0)
        frequency_K = scored_NK.mean(0)
        return float(-(frequency_K * np.log(p_K) + (1 - frequency_K) * np.log1p(-p_K)).sum())


def _named(corpus: str) -> Published:
    if corpus not in CORPORA:
        raise ValueError(f"task.corpus is one of {', '.join(CORPORA)}, not {corpus!r}{did_you_mean(corpus, CORPORA)}")
    return CORPORA[corpus]
