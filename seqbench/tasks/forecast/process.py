"""Forecasting made series whose best forecast is known (Schiele, Berninger, Rügamer 2022, arXiv 2208.14919).

The processes are those of processes.py. Nothing is standardised. The baselines are four, on the rows of test: that a
series keeps its last value (`rmse`), the mean of train and valid (`rmse_of_mean`), and the expectation given all of
the past, which no model can beat but by chance (`rmse_of_best`), with its RMSE in closed form, of the process
(`rmse_closed_form`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from seqbench.contracts.ranges import AtLeast, Count, OneOf, Positive
from seqbench.data.random_bits import check_data_seed, philox
from seqbench.errors import did_you_mean
from seqbench.tasks.forecast.errors import Errors
from seqbench.tasks.forecast.processes import BURN_IN, NAMES, PROCESSES, VARMA_A, VARMA_M, Process, arma, make
from seqbench.tasks.forecast.windows import Windows
from seqbench.tasks.synthetic.input_output import normal

_STREAM = 0xA12A  # apart from the other draws of the seed


class MadeSeries(Windows):
    """One series, or several beside each other, of `process`.

    - `beta`, `gamma` and `noise` are an ARMA process's; null: those of the paper, (0.1, 0.3), -0.4 and 2.
    - `train_size`, `valid_size` and `test_size` are rows.
    - `data_seed` draws the series, and the order of the windows, whatever the run's seed.
    """

    def __init__(
        self,
        process: Annotated[str, OneOf(*NAMES)] = "arma",
        beta: Sequence[float] | None = None,
        gamma: Sequence[float] | None = None,
        noise: Positive | None = None,
        train_size: Annotated[int, AtLeast(2)] = 490,
        valid_size: Count = 210,
        test_size: Count = 300,
        window: Count = 10,
        batch_size: Count = 50,
        eval_batch_size: Count = 500,
        data_seed: int = 0,
    ):
        check_data_seed(data_seed)
        sizes = {"train": train_size, "valid": valid_size, "test": test_size}
        self.made_of = None
        if process == "arma":
            self.made_of = (list((0.1, 0.3) if beta is None else beta), list((-0.4,) if gamma is None else gamma))
            kind: Process = arma(*self.made_of, 2.0 if noise is None else noise)
        elif process not in PROCESSES:
            raise ValueError(
                f"task.process is one of {', '.join(NAMES)}, not {process!r}{did_you_mean(process, NAMES)}"
            )
        elif (beta, gamma, noise) != (None, None, None):
            raise ValueError(f"beta, gamma and noise are of process=arma, not {process}")
        else:
            kind = PROCESSES[process]
        n_rows = BURN_IN + sum(sizes.values())
        bits = philox(data_seed, _STREAM).random_raw(2 * n_rows * kind.n_series).reshape(n_rows, -1)
        self.series = make(kind, normal(bits))
        self.process, values_NK = process, self.series.values_NK
        errors = Errors(values_NK[:train_size], horizon=1)
        super().__init__(values_NK, sizes, errors, window, batch_size, eval_batch_size, data_seed)
        best_NK = self.series.expected_NK[self.test_rows]
        self.baseline |= errors.baseline(best_NK, values_NK[self.test_rows], "_of_best")
        self.baseline["rmse_closed_form"] = kind.best_rmse
        self.version = {"name": f"forecast_{process}", "version": 1, "data_sha256": None}

    def coefficients(self) -> dict[str, Tensor] | None:
        """The matrices "beta" (p, K, K) and "gamma" (q, K, K) that made the series; None: it is no ARMA process."""
        if self.process == "varma":
            return {"beta": torch.from_numpy(VARMA_A)[None], "gamma": torch.from_numpy(VARMA_M)[None]}
        if self.made_of is None:
            return None
        beta, gamma = (torch.tensor(value, dtype=torch.float64).view(-1, 1, 1) for value in self.made_of)
        return {"beta": beta, "gamma": gamma}

    def training_rows(self) -> np.ndarray:
        """(N, K): the series as it is trained on, from its first row."""
        return self.values_NK[: self.first["valid"]]
