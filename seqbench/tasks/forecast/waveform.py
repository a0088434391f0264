"""Sound as a sequence of frames: the density of the next one, given all so far (Chung et al. 2014, section 4.2).

arXiv 1412.3555.

    samples   s1 ... sD | sD+1 ... s2D | ...         D = frame_size
    input     frame 1, ..., T - 1
    target    frame 2, ..., T

The recordings of a folder that have two frames at least are shuffled once by `data_seed` and dealt to train, valid and
test, whole; each is cut into sequences of at most `max_frames` frames, and what is left of a frame at its end is
dropped. Samples are standardised by one mean and one deviation, those of train.

`nll` is in nats a frame, of standardised samples; `nll_original` is that of samples from -1 to 1, lower by
D ln(deviation) and often negative, as densities may be above 1. The paper's recordings are not public, and theirs is
another frame: 20 samples in and the next 10 to predict. The baseline is a Gaussian for each sample by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch

from seqbench.contracts.batch import Batch
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.ranges import AtLeast, Count, PartShare
from seqbench.contracts.task import SPLITS, Sums, Task
from seqbench.data.arrays.order import orders
from seqbench.data.arrays.ragged import Ragged
from seqbench.data.arrays.store import are_arrays_at_hand
from seqbench.data.arrays.waves import ensure_waves, recordings_of, waves_checksum
from seqbench.data.errors import DataError
from seqbench.data.files.lock import say
from seqbench.data.random_bits import check_data_seed, philox
from seqbench.data.text.own.files import still_there
from seqbench.evaluation.scoring import score

_STREAM = 0x3A7E  # apart from the other draws of the seed


class Waveform(Task):
    """Batches of frames (B, T, frame_size) and the frames after them.

    - `valid_share`, `test_share`: of the recordings, at least one each.
    - `data_sha256`: the checksum of the recordings, by which a run finds them again; taken from `source`.
    """

    autoregressive = True

    def __init__(
        self,
        frame_size: Count,
        max_frames: Annotated[int, AtLeast(2)],
        batch_size: Count,
        eval_batch_size: Count,
        valid_share: PartShare,
        test_share: PartShare,
        data_seed: int,
        data_sha256: str | None,
        data_dir: Path,
        source: str | None,
    ):
        check_data_seed(data_seed)
        if valid_share + test_share >= 1:
            raise ValueError(f"task.valid_share={valid_share:g} and task.test_share={test_share:g} leave train nothing")
        source = still_there(source, data_sha256)
        sha256 = _named(data_sha256, source)
        waves = ensure_waves(sha256, data_dir, source, say)
        recordings = Ragged(np.asarray(waves["samples"]), np.asarray(waves["lengths"]))
        long_enough = np.flatnonzero(recordings.lengths >= 2 * frame_size)
        dealt = _dealt(len(long_enough), len(recordings.lengths), valid_share, test_share, data_seed)
        pieces = {
            split: _pieces(recordings, long_enough[rows], frame_size, max_frames) for split, rows in dealt.items()
        }
        train = np.concatenate(pieces["train"]).astype(np.float64)
        self.mean, self.deviation = float(train.mean()), float(train.std()) or 1.0
        self.pieces = {split: self._standardised(of_split) for split, of_split in pieces.items()}
        lengths = {split: of_split.lengths for split, of_split in self.pieces.items()}
        sizes = {split: len(of_split) for split, of_split in lengths.items()}
        self.index = orders(sizes, batch_size, eval_batch_size, data_seed, lengths)
        self.inputs, self.outputs = Inputs(n_features=frame_size), Outputs("densities", frame_size)
        name = f"waveform-{sha256[:8]}"
        self.version = {"name": name, "version": 1, "data_sha256": waves.sha256, "text_sha256": sha256}
        self.baseline = {"nll": self._baseline()}

    @classmethod
    def checksum(cls, source: str, settings: dict[str, Any]) -> str:
        """What `data_sha256` of the recordings in the folder `source` is. Raises `DataError`."""
        return waves_checksum(source)

    @classmethod
    def prepare(cls, data_dir: Path, source: str | None, force: bool, settings: dict[str, Any]) -> str:
        """Prepare the recordings, anew if `force`, and say what there is."""
        waves = ensure_waves(_named(settings["data_sha256"], source), data_dir, source, say, force)
        seconds = len(waves["samples"]) / int(waves["rate"][0])
        return f"waveform: {len(waves['lengths']):,} recordings of {seconds:,.1f} seconds in all; in {waves.path}"

    @classmethod
    def at_hand(cls, data_dir: Path, source: str | None, settings: dict[str, Any]) -> bool:
        """Whether the data are on this machine, prepared or to be prepared."""
        sha256 = settings["data_sha256"]
        if source is not None:
            return Path(source).expanduser().exists()
        return sha256 is not None and are_arrays_at_hand(recordings_of(sha256, None), data_dir, None)

    def n_batches(self, split: str) -> int:
        return self.index[split].n_batches

    def batch(self, split: str, index: int) -> Batch:
        frames_BTD, valid_BT = self.pieces[split].padded(self.index[split].examples(index))
        frames_BTD, valid_BT = torch.from_numpy(frames_BTD), torch.from_numpy(valid_BT[:, 1:])
        return Batch(frames_BTD[:, :-1], frames_BTD[:, 1:], valid_BT.clone(), inputs_valid_BT=valid_BT.clone())

    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        return score(learner, batches, "nll")

    def metrics(self, sums: Sums) -> dict[str, float]:
        total, n_frames = sums["nll"]
        nll = total / n_frames
        original = nll + self.outputs.size * math.log(self.deviation)
        return {"nll": nll, "nll_original": original, "n_targets": n_frames}

    def _standardised(self, pieces: list[np.ndarray]) -> Ragged:
        frames = (np.concatenate(pieces).astype(np.float64) - self.mean) / self.deviation
        return Ragged(frames.astype(np.float32), np.array([len(piece) for piece in pieces]))

    def _baseline(self) -> float:
        """The nll of the scored test frames under a standard Gaussian for each sample."""
        test = self.pieces["test"]
        scored_ND = np.delete(test.values, test.starts, 0).astype(np.float64)
        return float(0.5 * (np.log(2 * math.pi) + scored_ND**2).sum(1).mean())


def _named(data_sha256: str | None, source: str | None) -> str:
    if data_sha256 is not None:
        return data_sha256
    if source is None:
        raise DataError("task=waveform reads recordings of your own: name a folder of WAV files as source=<folder>.")
    return waves_checksum(source)


def _dealt(n_recordings: int, n_all: int, valid_share: float, test_share: float, seed: int) -> dict[str, np.ndarray]:
    """Which of the recordings that are long enough belong to each split."""
    n_valid, n_test = (max(1, round(n_recordings * share)) for share in (valid_share, test_share))
    if n_valid + n_test >= n_recordings:
        raise DataError(
            f"{n_recordings} recordings of at least two frames (of {n_all} in all) cannot be dealt to train, valid and "
            f"test by task.valid_share={valid_share:g} and task.test_share={test_share:g}: there must be one for each."
        )
    order = np.argsort(philox(seed, _STREAM, 0).random_raw(n_recordings), kind="stable")
    cuts = (0, n_recordings - n_valid - n_test, n_recordings - n_test, n_recordings)
    return {split: np.sort(order[cuts[i] : cuts[i + 1]]) for i, split in enumerate(SPLITS)}


def _pieces(recordings: Ragged, rows: np.ndarray, frame_size: int, max_frames: int) -> list[np.ndarray]:
    """Frames of each sequence, (n_frames, frame_size), two at least."""
    pieces = []
    for start, length in zip(recordings.starts[rows], recordings.lengths[rows], strict=True):
        n_frames = length // frame_size
        frames_ND = recordings.values[start : start + n_frames * frame_size].reshape(n_frames, frame_size)
        pieces += [frames_ND[first : first + max_frames] for first in range(0, n_frames - 1, max_frames)]
    return [piece for piece in pieces if len(piece) > 1]
