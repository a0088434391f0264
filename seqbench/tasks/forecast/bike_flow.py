"""Bike flow in New York: the next frame of a grid, from those before it (data/arrays/bike_flow.py has the file).

As in the ARMA cell's benchmarks (Schiele, Berninger, Rügamer 2022, arXiv 2208.14919): counts x become log(x + 1) over
its largest value in train, so that all are in [0, 1] (larger ones in valid or test are clipped to 1), and are bits'
probabilities, scored by the cross entropy. A split is cut into sequences of `n_frames`, which follow each other; the
last may be shorter.

    frames     x0 x1 x2 x3 x4 ...        first_scored 3
    inputs     x0 x1 x2 x3 ...
    targets    x1 x2 x3 x4 ...           of which x3, x4, ... are scored

`bce` is the cross entropy of a number in nats; `mse`, `mae`, `rmse` are of numbers in [0, 1], `..._original`, `mase`
and `smape` of counts (errors.py), `mase` over one mean of all places rather than place by place. Baselines: the frame
before (`rmse` and so on), each place's mean in train (`rmse_of_mean`), and the entropy of the targets (`bce_of_best`),
the lowest possible cross entropy.

Shapes: B batch, T frames, D = 14 x 8 x 2 numbers of a frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Sums
from seqbench.contracts.inputs_outputs import Inputs, Outputs
from seqbench.contracts.learner import Learner
from seqbench.contracts.ranges import AtLeast, Count
from seqbench.contracts.task import SPLITS, Task
from seqbench.data.arrays.bike_flow import BIKE_FLOW, FRAME
from seqbench.data.arrays.order import orders
from seqbench.data.arrays.published import Published
from seqbench.data.arrays.store import ArraySet, ensure_arrays
from seqbench.data.files.lock import say
from seqbench.data.random_bits import check_data_seed
from seqbench.learners.assembled import select
from seqbench.learners.network import Network
from seqbench.tasks.sequences.of_arrays import OfArrays

_ERRORS = ("mse", "mae", "mse_original", "mae_original", "smape")


class BikeFlow(OfArrays, Task):
    """Batches of inputs (B, n_frames - 1, D) and targets of that shape, padded behind. `data_seed` fixes the order of
    training sequences, new in each epoch, whatever the run's seed."""

    selection = "bce"
    autoregressive = True

    def __init__(
        self,
        n_frames: Annotated[int, AtLeast(2)],
        first_scored: Count,
        batch_size: Count,
        eval_batch_size: Count,
        data_seed: int,
        data_dir: Path,
        source: str | None,
    ):
        check_data_seed(data_seed)
        if first_scored >= n_frames:
            raise ValueError(f"task.first_scored={first_scored} leaves none of task.n_frames={n_frames} to score")
        arrays = ensure_arrays(BIKE_FLOW, data_dir, source, say)
        logs = {split: np.log1p(arrays[split].astype(np.float64)).reshape(len(arrays[split]), -1) for split in SPLITS}
        self.largest = float(logs["train"].max()) or 1.0
        self.values = {split: np.minimum(logs[split] / self.largest, 1.0) for split in SPLITS}
        self.n_frames, self.first_scored = n_frames, first_scored
        # a sequence at the end that is too short to be scored is left out
        sizes = {split: -(-(len(self.values[split]) - first_scored) // n_frames) for split in SPLITS}
        self.index = orders(sizes, batch_size, eval_batch_size, data_seed)
        counts = self._counts(torch.from_numpy(self.values["train"]))
        self.naive = float((counts[1:] - counts[:-1]).abs().mean()) or 1.0
        n_numbers = math.prod(FRAME)
        self.inputs, self.outputs = Inputs(n_features=n_numbers), Outputs("bits", n_numbers)
        self.version = {"name": "bike_flow", "version": 1, "data_sha256": arrays.sha256}
        self.baseline = self._baselines()

    @classmethod
    def published(cls, settings: dict[str, Any]) -> Published:
        return BIKE_FLOW

    @classmethod
    def contents(cls, arrays: ArraySet) -> str:
        return f"{' / '.join(f'{len(arrays[split]):,}' for split in SPLITS)} frames of {' x '.join(map(str, FRAME))}"

    def n_batches(self, split: str) -> int:
        return self.index[split].n_batches

    def batch(self, split: str, index: int) -> Batch:
        values_ND, start_B = self.values[split], self.index[split].examples(index) * self.n_frames
        place_T = np.arange(self.n_frames)
        rows_BT = start_B[:, None] + place_T
        inside_BT = rows_BT < len(values_ND)
        frames_BTD = np.where(inside_BT[..., None], values_ND[np.minimum(rows_BT, len(values_ND) - 1)], 0.0)
        frames_BTD = torch.from_numpy(frames_BTD.astype(np.float32))
        inside_BT = torch.from_numpy(inside_BT)
        scored_BT = inside_BT & torch.from_numpy(place_T >= self.first_scored)
        return Batch(
            frames_BTD[:, :-1].clone(), frames_BTD[:, 1:].clone(), scored_BT[:, 1:], inputs_valid_BT=inside_BT[:, 1:]
        )

    @torch.no_grad()
    def evaluate(self, learner: Learner, batches: Iterable[Batch]) -> Sums:
        assert isinstance(learner, Network)
        bce, n_values = 0.0, 0
        sums = torch.zeros(len(_ERRORS), dtype=torch.float64)
        for batch in batches:
            z_BTD, _, _ = learner.outputs(batch)
            z_ND, value_ND = (each.double().cpu() for each in select(z_BTD, batch))
            bce += float(F.binary_cross_entropy_with_logits(z_ND, value_ND, reduction="sum"))
            sums += self._sums(z_ND.sigmoid(), value_ND)
            n_values += value_ND.numel()
        return {"bce": (bce, n_values), **self._named(sums, n_values)}

    def metrics(self, sums: Sums) -> dict[str, float]:
        means = {name: total / n_values for name, (total, n_values) in sums.items()}
        roots = {name.replace("mse", "rmse"): math.sqrt(means[name]) for name in ("mse", "mse_original")}
        return {**means, **roots, "mase": means["mae_original"] / self.naive, "n_targets": sums["mse"][1]}

    def _counts(self, values: Tensor) -> Tensor:
        return torch.expm1(values * self.largest)

    def _sums(self, forecast_ND: Tensor, value_ND: Tensor) -> Tensor:
        error_ND, counts_ND = forecast_ND - value_ND, self._counts(value_ND)
        forecast_counts_ND = self._counts(forecast_ND)
        size_ND = (forecast_counts_ND - counts_ND).abs()
        share_ND = 2 * size_ND / (forecast_counts_ND + counts_ND).clamp_min(torch.finfo(torch.float64).tiny)
        each = (error_ND.square(), error_ND.abs(), size_ND.square(), size_ND, share_ND)
        return torch.stack([error_ND.sum() for error_ND in each])

    def _named(self, sums: Tensor, n_values: int) -> Sums:
        return {name: (float(total), n_values) for name, total in zip(_ERRORS, sums, strict=True)}

    def _baselines(self) -> dict[str, float]:
        mean_D = torch.from_numpy(self.values["train"]).mean(0)
        batches = [self.batch("test", index) for index in range(self.n_batches("test"))]
        last_ND, value_ND = (
            torch.cat([getattr(one, name)[one.valid_BT].double() for one in batches]) for name in ("inputs", "targets")
        )
        mean_ND, baseline = mean_D.expand_as(value_ND), {}
        for guess_ND, suffix in ((last_ND, ""), (mean_ND, "_of_mean")):
            metrics = self.metrics(self._named(self._sums(guess_ND, value_ND), value_ND.numel()))
            baseline |= {f"{name}{suffix}": value for name, value in metrics.items() if name != "n_targets"}
        for guess_ND, suffix in ((mean_ND, "_of_mean"), (value_ND, "_of_best")):
            baseline[f"bce{suffix}"] = float(F.binary_cross_entropy(guess_ND, value_ND))
        return baseline
