"""Against scipy.stats, which computes both in its own way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from seqbench.report.statistics import mean_interval, paired_p_value


def test_the_interval_is_the_percentile_bootstraps():
    numbers = np.random.default_rng(3).normal(5.0, 2.0, 25)
    low, high = mean_interval(numbers)
    theirs = stats.bootstrap(
        (numbers,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.05)


def test_the_interval_of_three_is_their_range():
    """Each of the extremes is one of 27 resamples, more than 2.5 %."""
    assert mean_interval([3.0, 1.0, 2.0]) == pytest.approx((1.0, 3.0))


def test_the_order_of_runs_is_no_matter():
    assert mean_interval([0.3, 0.1, 0.7, 0.2]) == mean_interval([0.7, 0.3, 0.2, 0.1])


def test_one_number_has_no_interval():
    assert mean_interval([1.0]) is None
    assert mean_interval([]) is None


@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_p_value_is_students(n):
    first, second = np.random.default_rng(n).normal(size=(2, n))
    assert paired_p_value(list(first - second)) == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=1e-9)


def test_equal_differences_have_no_p_value():
    assert paired_p_value([0.5, 0.5, 0.5]) is None
    assert paired_p_value([0.5]) is None
