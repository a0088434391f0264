"""The ARMA model that an ARMA cell has learned (Schiele, Berninger, Rügamer 2022, arXiv 2208.14919).

Its coefficients, beside those that made the series, where they are known, and those of statsmodels' maximum-likelihood
fit to the same rows.
"""

from __future__ import annotations

import warnings
from typing import Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from seqbench.contracts.analysis import Analysis, Outcome, Subject
from seqbench.errors import UserError
from seqbench.learners.network import Network

Coefficients = dict[str, Tensor]


@runtime_checkable
class HasCoefficients(Protocol):
    """A model that computes an ARMA model's forecast."""

    def coefficients(self) -> Coefficients:
        """ "beta" (p, K, K) and "gamma" (q, K, K). Raises `ValueError` where its settings make it something else."""
        ...


@runtime_checkable
class MadeByARMA(Protocol):
    """A task whose series may be an ARMA process."""

    def coefficients(self) -> Coefficients | None:
        """Those that made it; None: it is another process."""
        ...

    def training_rows(self) -> np.ndarray:
        """(N, K): what is trained on."""
        ...


class ARMACoefficients(Analysis):
    """`beta_1`, `beta_2`, ..., `gamma_1`, ... of a single series; of several with a matrix's row and column behind, as
    `beta_1.0.1`. Of a task with a process behind it also `truth.beta_1` and so on, with `error`, the largest distance
    to it, where the model has as many lags; and `statsmodels.beta_1` and so on, with the largest distance between the
    two fits, `statsmodels.distance`, and that fit's own distance to the truth, `statsmodels.error`.

    - statsmodels: fit its ARIMA, too: of a single series. It needs pip install 'seqbench[forecast]'.
    """

    def __init__(self, statsmodels: bool = False):
        self.statsmodels = statsmodels

    def __call__(self, subject: Subject) -> Outcome:
        learner, task = subject.learner, subject.task
        if not isinstance(learner, Network) or not isinstance(learner.backbone, HasCoefficients):
            raise UserError("analysis=arma_coefficients is for model=arma.")
        if any(True for _ in learner.head.parameters()):
            raise UserError("analysis=arma_coefficients reads a cell whose outputs are the forecasts: head=direct.")
        try:
            learned = learner.backbone.coefficients()
        except ValueError as error:
            raise UserError(f"analysis=arma_coefficients: {error}.") from error
        numbers = named(learned)
        truth = task.coefficients() if isinstance(task, MadeByARMA) else None
        if truth is not None:
            numbers |= {f"truth.{name}": value for name, value in named(truth).items()}
            numbers |= _distance("error", learned, truth)
        if self.statsmodels:
            if not isinstance(task, MadeByARMA) or task.training_rows().shape[1] != 1:
                raise UserError("analysis.statsmodels=true is for one made series: task=forecast.")
            fitted = fit(task.training_rows()[:, 0], len(learned["beta"]), len(learned["gamma"]))
            numbers |= {f"statsmodels.{name}": value for name, value in fitted.items()}
            own = named(learned)
            numbers["statsmodels.distance"] = max(abs(own[name] - value) for name, value in fitted.items())
            if truth is not None and named(truth).keys() == fitted.keys():
                numbers["statsmodels.error"] = max(abs(named(truth)[name] - value) for name, value in fitted.items())
        return Outcome(numbers)


def named(coefficients: Coefficients) -> dict[str, float]:
    """Each number of "beta" and "gamma" by its name."""
    numbers = {}
    for kind in ("beta", "gamma"):
        for lag, matrix_KK in enumerate(coefficients[kind].tolist(), start=1):
            for i, row in enumerate(matrix_KK):
                for j, value in enumerate(row):
                    place = f".{i}.{j}" if len(matrix_KK) > 1 else ""
                    numbers[f"{kind}_{lag}{place}"] = value
    return numbers


def fit(y_N: np.ndarray, p: int, q: int) -> dict[str, float]:
    """statsmodels' coefficients of ARMA(p, q) with an intercept. Raises `UserError` where it is not installed."""
    try:
        from statsmodels.tsa.arima.model import ARIMA
    except ImportError as error:
        raise UserError("analysis.statsmodels=true needs statsmodels: pip install 'seqbench[forecast]'.") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of starting parameters
        fitted = ARIMA(y_N, order=(p, 0, q)).fit()
    values = dict(zip(fitted.param_names, np.asarray(fitted.params).tolist(), strict=True))
    kinds = (("beta", "ar", p), ("gamma", "ma", q))
    return {f"{kind}_{lag}": values[f"{name}.L{lag}"] for kind, name, count in kinds for lag in range(1, count + 1)}


def _distance(name: str, learned: Coefficients, truth: Coefficients) -> dict[str, float]:
    own, true = named(learned), named(truth)
    return {name: max(abs(own[key] - true[key]) for key in true)} if own.keys() == true.keys() else {}
