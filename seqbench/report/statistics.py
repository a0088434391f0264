"""What a handful of seeds can say: the interval of a mean, and whether one of two models is the better one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtr

_N_RESAMPLES = 10_000


def mean_interval(numbers: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Percentile bootstrap interval of the mean (Efron 1979); None for less than two numbers.

    The resamples are drawn from a fixed seed, so the same numbers in any order have the same interval.
    """
    if len(numbers) < 2:
        return None
    values_N = np.sort(np.asarray(numbers, dtype=float))
    drawn_RN = np.random.default_rng(0).integers(len(values_N), size=(_N_RESAMPLES, len(values_N)))
    low, high = np.quantile(values_N[drawn_RN].mean(1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_p_value(differences: Sequence[float]) -> float | None:
    """Two-sided p-value of Student's paired t-test that the mean of the differences is zero; None where it is not
    defined: for less than two differences, or where all are equal."""
    n = len(differences)
    if n < 2 or len(set(differences)) == 1:
        return None
    values_N = np.asarray(differences, dtype=float)
    t = values_N.mean() / (values_N.std(ddof=1) / math.sqrt(n))
    return float(2 * stdtr(n - 1, -abs(t)))
