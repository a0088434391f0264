"""Errors of forecasts of real-valued series, as sums over rows and columns and as means.

    mse, mae, rmse    of standardised values, where a task standardises; `..._original` in the file's units
    mase              the size of an error over the mean one, in train, of predicting that a column keeps its value
                      (Hyndman and Koehler 2006), column by column: below 1 is better than that was in train
    smape             2 |error| / (|forecast| + |value|), in the file's units, from 0 to 2; zero where both are zero

Shapes: N rows, R columns that are predicted.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from seqbench.contracts.task import Sums

PLAIN = ("mse", "mae", "mase", "smape")
ORIGINAL = ("mse_original", "mae_original")


class Errors:
    """Of the columns of `train_NR`, in the file's units, `horizon` rows ahead. `mean_R` and `deviation_R` are those
    that they were standardised by; None: they were not, and nothing is said of original units."""

    def __init__(
        self,
        train_NR: np.ndarray,
        horizon: int,
        mean_R: np.ndarray | None = None,
        deviation_R: np.ndarray | None = None,
    ):
        naive_R = np.abs(train_NR[horizon:] - train_NR[:-horizon]).mean(0)
        self.naive_R = torch.from_numpy(np.where(naive_R == 0, 1.0, naive_R))
        self.is_scaled = deviation_R is not None
        self.mean_R = torch.from_numpy(np.zeros_like(naive_R) if mean_R is None else mean_R)
        self.deviation_R = torch.from_numpy(np.ones_like(naive_R) if deviation_R is None else deviation_R)
        self.names = (*PLAIN, *(ORIGINAL if self.is_scaled else ()))

    def sums(self, forecast_NR: Tensor, value_NR: Tensor) -> Tensor:
        """One float64 sum for each of `names`, given forecasts and values as the network has them."""
        forecast_NR, value_NR = forecast_NR.double().cpu(), value_NR.double().cpu()
        error_NR = forecast_NR - value_NR
        original_NR = error_NR * self.deviation_R
        size_NR = original_NR.abs()
        forecast_level_NR, level_NR = ((one * self.deviation_R + self.mean_R).abs() for one in (forecast_NR, value_NR))
        share_NR = 2 * size_NR / (forecast_level_NR + level_NR).clamp_min(torch.finfo(torch.float64).tiny)
        sums = [error_NR.square(), error_NR.abs(), size_NR / self.naive_R, share_NR]
        if self.is_scaled:
            sums += [original_NR.square(), size_NR]
        return torch.stack([each_NR.sum() for each_NR in sums])

    def named(self, sums: Tensor, n_values: int) -> Sums:
        """The sums by name, each of so many values."""
        return {name: (float(total), n_values) for name, total in zip(self.names, sums, strict=True)}

    def metrics(self, sums: Sums) -> dict[str, float]:
        """The means, and the roots of those of squares."""
        n_values = sums["mse"][1]
        means = {name: sums[name][0] / n_values for name in self.names}
        roots = {name.replace("mse", "rmse"): math.sqrt(means[name]) for name in self.names if name.startswith("mse")}
        return {**means, **roots, "n_targets": n_values}

    def baseline(self, forecast_NR: np.ndarray, value_NR: np.ndarray, suffix: str = "") -> dict[str, float]:
        """The metrics of some plain forecasts, `suffix` behind each name."""
        sums = self.sums(torch.from_numpy(forecast_NR), torch.from_numpy(value_NR))
        metrics = self.metrics(self.named(sums, value_NR.size))
        return {f"{name}{suffix}": value for name, value in metrics.items() if name != "n_targets"}
