"""Forecasting real-valued series of one's own: each column `horizon` rows ahead, from all rows up to now.

    rows       x0 x1 x2 x3 x4 ...       horizon 2
    inputs     x0 x1 x2 ...
    targets    x2 x3 x4 ...

The file is cut in order of time: train, then `valid_share` of its rows, then `test_share`. Columns are standardised by
mean and deviation of train (a constant one by its mean alone). Training reads `batch_size` parts of train side by side
in windows of `window` rows, the state carried from window to window. Evaluation reads a split as one row of the batch:
each of its rows is a target once, and the first is predicted from the row `horizon` before it, a blank state behind it.

Errors are those of errors.py, of standardised values and in the file's units. The baselines are two: that a column
keeps its last value (`mse` and so on), and the mean of train (`mse_of_mean`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Sums
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.ranges import Count, PartShare
from seqbench.contracts.task import SPLITS, Task
from seqbench.data.errors import DataError
from seqbench.data.files.lock import say
from seqbench.data.series.build import SeriesRecipe, csv_checksum, ensure_series, open_series
from seqbench.data.text.own.files import still_there
from seqbench.errors import did_you_mean
from seqbench.learners.network import Network
from seqbench.tasks.forecast.errors import Errors


class Series(Task):
    """The columns of the CSV file that `source` names.

    * `columns`: those that are read; None: all that hold numbers. `targets`: those that are predicted; None: all read.
    * `data_sha256`: the checksum of the file, by which a run finds it again; taken from `source`.
    """

    selection = "mse"
    continuous = True

    def __init__(
        self,
        columns: list[str] | None,
        targets: list[str] | None,
        horizon: Count,
        window: Count,
        batch_size: Count,
        eval_window: Count,
        valid_share: PartShare,
        test_share: PartShare,
        data_sha256: str | None,
        data_dir: Path,
        source: str | None,
    ):
        if valid_share + test_share >= 1:
            raise ValueError(f"task.valid_share={valid_share:g} and task.test_share={test_share:g} leave train nothing")
        source = still_there(source, data_sha256)
        recipe = _recipe(columns, data_sha256, source)
        series = ensure_series(recipe, data_dir, source, False, say)
        n_rows = len(series.values)
        cuts = (0, round(n_rows * (1 - valid_share - test_share)), round(n_rows * (1 - test_share)), n_rows)
        self.spans = {split: (cuts[i], cuts[i + 1]) for i, split in enumerate(SPLITS)}
        self.horizon, self.batch_size = horizon, batch_size
        self.steps = {"train": window, "valid": eval_window, "test": eval_window}
        self._require_rows(n_rows)
        train = series.values[: cuts[1]]
        mean_D, deviation_D = train.mean(0), train.std(0)
        deviation_D[deviation_D == 0] = 1.0
        self.values_ND = (series.values - mean_D) / deviation_D
        self.places = _places(series.columns, targets)
        self.errors = Errors(train[:, self.places], horizon, mean_D[self.places], deviation_D[self.places])
        self.inputs = Inputs(n_features=len(series.columns))
        self.outputs = Outputs("reals", len(self.places))
        name = f"series-{recipe.data_sha256[:8]}"
        self.version = {"name": name, "version": 1, "data_sha256": series.sha256, "text_sha256": recipe.data_sha256}
        self.baseline = self._baselines()

    @classmethod
    def checksum(cls, source: str, settings: dict[str, Any]) -> str:
        """What `data_sha256` of the file that `source` names is. Raises `DataError`."""
        return csv_checksum(source)

    @classmethod
    def prepare(cls, data_dir: Path, source: str | None, force: bool, settings: dict[str, Any]) -> str:
        """Prepare the columns that `settings`, the task's own, name, anew if `force`, and say what there is."""
        recipe = _recipe(settings["columns"], settings["data_sha256"], source)
        series = ensure_series(recipe, data_dir, source, force, say)
        return f"series: {len(series.values):,} rows of {', '.join(series.columns)}; in {series.path}"

    @classmethod
    def at_hand(cls, data_dir: Path, source: str | None, settings: dict[str, Any]) -> bool:
        """Whether the data are on this machine, prepared or to be prepared."""
        if source is not None:
            return os.path.exists(Path(source).expanduser())
        sha256 = settings["data_sha256"]
        return sha256 is not None and open_series(_recipe(settings["columns"], sha256, None), data_dir) is not None

    def n_batches(self, split: str) -> int:
        length, n_steps = self._length(split), self.steps[split]
        return length // n_steps if split == "train" else -(-length // n_steps)

    def batch(self, split: str, index: int) -> Batch:
        position, n_steps = index % self.n_batches(split), self.steps[split]
        first, last = position * n_steps, min((position + 1) * n_steps, self._length(split))
        begin = self.spans[split][0]
        if split == "train":
            starts = begin + self.horizon + np.arange(self.batch_size) * self._length(split)
        else:
            starts = np.array([begin])
        rows_BT = starts[:, None] + np.arange(first, last)  # of the targets
        inputs_BTD = self.values_ND[rows_BT - self.horizon].astype(np.float32)
        targets_BTR = self.values_ND[rows_BT[..., None], self.places].astype(np.float32)
        return Batch(torch.from_numpy(inputs_BTD), torch.from_numpy(targets_BTR), reset=position == 0)

    @torch.no_grad()
    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        assert isinstance(learner, Network)
        state, n_values = None, 0
        sums = torch.zeros(len(self.errors.names), dtype=torch.float64)
        for batch in batches:
            z_BTR, state, _ = learner.outputs(batch, None if batch.reset else state)
            sums += self.errors.sums(z_BTR.flatten(0, 1), batch.targets.flatten(0, 1))
            n_values += batch.targets.numel()
        return self.errors.named(sums, n_values)

    def metrics(self, sums: Sums) -> dict[str, float]:
        return self.errors.metrics(sums)

    def _length(self, split: str) -> int:
        """Targets in a row of the split's batches."""
        first, end = self.spans[split]
        return (end - first - self.horizon) // self.batch_size if split == "train" else end - first

    def _require_rows(self, n_rows: int) -> None:
        if self.n_batches("train") < 1:
            raise DataError(
                f"{self.spans['train'][1]:,} rows of train give no window of task.window={self.steps['train']} rows in "
                f"task.batch_size={self.batch_size} parts, {self.horizon} ahead: make one of them smaller."
            )
        for split in ("valid", "test"):
            if self.n_batches(split) < 1:
                raise DataError(f"No row of {n_rows:,} falls to {split}: make task.{split}_share larger.")

    def _baselines(self) -> dict[str, float]:
        """On test: the last value, and the mean of train."""
        first, end = self.spans["test"]
        targets_NR = self.values_ND[first:end, self.places]
        last_NR = self.values_ND[first - self.horizon : end - self.horizon, self.places]
        of_last, of_mean = (last_NR, ""), (np.zeros_like(targets_NR), "_of_mean")
        return {
            name: value
            for guess_NR, suffix in (of_last, of_mean)
            for name, value in self.errors.baseline(guess_NR, targets_NR, suffix).items()
        }


def _places(columns: list[str], targets: list[str] | None) -> np.ndarray:
    """Where the columns that are predicted stand among those that are read."""
    for target in targets or []:
        if target not in columns:
            raise ValueError(f"task.targets names {target!r}, which is not a column{did_you_mean(target, columns)}")
    return np.array([columns.index(name) for name in targets or columns])


def _recipe(columns: list[str] | None, data_sha256: str | None, source: str | None) -> SeriesRecipe:
    if data_sha256 is None:
        if source is None:
            raise DataError("task=series reads a CSV file of your own: name it as source=<file>.")
        data_sha256 = csv_checksum(source)
    return SeriesRecipe(data_sha256, None if columns is None else tuple(columns))
