"""Made series whose best forecast is known: those of the ARMA cell's simulations, and a seasonal one.

Innovations e and noise are standard normal but where the process says otherwise; a process begins at zero, and what it
does before `BURN_IN` is left out.

    name             recursion                                                        best RMSE
    arma             y_t = sum beta_i y_{t-i} + sum gamma_j e_{t-j} + e_t, e of deviation noise   noise
    tar              y_t = 0.9 y_{t-1} + e_t; the authors' threshold asks a y_t that is still 0   1
    tar_intended     y_t = 0.9 y_{t-1} + e_t if |y_{t-1}| <= 1, else -0.3 y_{t-1} + e_t   1
    sgn              y_t = sign(y_{t-1}) + e_t                                        1
    nar              y_t = 0.7 |y_{t-1}| / (|y_{t-1}| + 2) + e_t                      1
    heteroskedastic  y_t = e_t - 0.4 e_{t-1} + 0.3 e_{t-2} + 0.5 e_{t-1} e_{t-2}      1, of who knows e
    varma            y_t = A y_{t-1} + M e_{t-1} + e_t, two series                    1
    sq               x_t = 0.6 x_{t-1} + e_t and y_t = x_t^2 + noise, two series      sqrt((1 + 5.25) / 2) = 1.768
    exp              as sq, with y_t = exp(x_t) + noise        sqrt((2 + e^1.125 (e^2 - e)) / 2) = 2.862
    seasonal         (1 - 0.5 L) (1 - 0.6 L^12) y_t = e_t                             1

The best RMSE is that of the expectation given all of the past, over all columns. It is of the process; of rows that
were drawn it is another by chance, most of all of exp, whose tail is heavy.

Shapes: T time, K series.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

BURN_IN = 100
SEASON = 12
VARMA_A = np.array([[0.1, -0.2], [-0.2, 0.1]])
VARMA_M = np.array([[-0.4, 0.2], [0.2, -0.4]])

# (t, y, e) -> the expectation of y_t given what came before, and y_t, (K,) each
Step = Callable[[int, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Process:
    """`n_lags` is how far back a step looks."""

    step: Step
    best_rmse: float
    n_series: int = 1
    n_lags: int = 2


@dataclass(frozen=True)
class Made:
    """Rows of a process, their innovations, and the expectation of each given those before: (N, K) each."""

    values_NK: np.ndarray
    innovations_NK: np.ndarray
    expected_NK: np.ndarray


def make(process: Process, normal_TK: np.ndarray) -> Made:
    """The rows after the burn-in, from standard normal numbers (BURN_IN + N, K)."""
    n_lags = process.n_lags
    e_TK = np.concatenate([np.zeros((n_lags, process.n_series)), normal_TK])  # zeros before the beginning
    y_TK, expected_TK = np.zeros_like(e_TK), np.zeros_like(e_TK)
    for t in range(n_lags, len(e_TK)):
        expected_TK[t], y_TK[t] = process.step(t, y_TK, e_TK)
    return Made(*(rows[n_lags + BURN_IN :] for rows in (y_TK, e_TK, expected_TK)))


def arma(beta: list[float], gamma: list[float], noise: float) -> Process:
    """Raises `ValueError` for an autoregression that does not come to rest, and for a moving average whose innovations
    cannot be told from the past: `noise` would not be the best RMSE."""
    if any(abs(np.roots([1.0, *(-b for b in beta)])) >= 1):
        raise ValueError(f"task.beta={beta} is not stationary: its series would grow without bound")
    if any(abs(np.roots([1.0, *gamma])) >= 1):
        raise ValueError(f"task.gamma={gamma} is not invertible: no forecast could know the innovations")

    def expectation(t: int, y: np.ndarray, e: np.ndarray) -> np.ndarray:
        of_y = sum((b * y[t - 1 - i] for i, b in enumerate(beta)), np.zeros(1))
        return of_y + noise * sum((g * e[t - 1 - j] for j, g in enumerate(gamma)), np.zeros(1))

    return Process(_plus(expectation, noise), noise, n_lags=max(len(beta), len(gamma), 1))


def _plus(expectation: Callable[[int, np.ndarray, np.ndarray], np.ndarray], noise: float = 1.0) -> Step:
    """An innovation on top of the expectation."""

    def step(t: int, y: np.ndarray, e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        expected = expectation(t, y, e)
        return expected, expected + noise * e[t]

    return step


def _pair(function: Callable[[float], float], expectation: Callable[[float], float]) -> Step:
    """x, an autoregression, and a function of it with noise; `expectation` of the function, given 0.6 x_{t-1}."""

    def step(t: int, y: np.ndarray, e: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = 0.6 * float(y[t - 1, 0])
        x = mean + float(e[t, 0])
        return np.array([mean, expectation(mean)]), np.array([x, function(x) + e[t, 1]])

    return step


PROCESSES: dict[str, Process] = {
    "tar": Process(_plus(lambda t, y, e: 0.9 * y[t - 1]), 1.0),
    "tar_intended": Process(_plus(lambda t, y, e: np.where(abs(y[t - 1]) <= 1, 0.9, -0.3) * y[t - 1]), 1.0),
    "sgn": Process(_plus(lambda t, y, e: np.sign(y[t - 1])), 1.0),
    "nar": Process(_plus(lambda t, y, e: 0.7 * abs(y[t - 1]) / (abs(y[t - 1]) + 2)), 1.0),
    "heteroskedastic": Process(
        _plus(lambda t, y, e: -0.4 * e[t - 1] + 0.3 * e[t - 2] + 0.5 * e[t - 1] * e[t - 2]), 1.0
    ),
    "varma": Process(_plus(lambda t, y, e: VARMA_A @ y[t - 1] + VARMA_M @ e[t - 1]), 1.0, n_series=2),
    "sq": Process(_pair(lambda x: x**2, lambda mean: mean**2 + 1), math.sqrt((1 + 5.25) / 2), n_series=2),
    "exp": Process(
        _pair(math.exp, lambda mean: math.exp(mean + 0.5)),
        math.sqrt((2 + math.exp(1.125) * (math.e**2 - math.e)) / 2),
        n_series=2,
    ),
    "seasonal": Process(
        _plus(lambda t, y, e: 0.5 * y[t - 1] + 0.6 * y[t - SEASON] - 0.3 * y[t - SEASON - 1]), 1.0, n_lags=SEASON + 1
    ),
}
NAMES = ("arma", *PROCESSES)
