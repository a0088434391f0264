"""Daily changes of eight exchange rates, each from the days before (data/arrays/exchange_rate.py has the file).

As in the ARMA cell's benchmarks (Schiele, Berninger, Rügamer 2022, arXiv 2208.14919) what is predicted is the relative
change to the day before, standardised by mean and deviation of all that comes before test, and the errors are of
standardised values; `..._original` is of relative changes. Predicting no change from the mean has an RMSE of 1.0973:
nothing can be learned from one day to the next, and a number near it says nothing about a model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqbench.contracts.ranges import Count, PartShare
from seqbench.data.arrays.exchange_rate import COLUMNS, EXCHANGE_RATE
from seqbench.data.arrays.published import Published
from seqbench.data.arrays.store import ArraySet, ensure_arrays
from seqbench.data.files.lock import say
from seqbench.tasks.forecast.errors import Errors
from seqbench.tasks.forecast.windows import Windows
from seqbench.tasks.sequences.of_arrays import OfArrays


class ExchangeRate(OfArrays, Windows):
    """The eight rates side by side. `test_share` is of all days, `valid_share` of those before test."""

    def __init__(
        self,
        window: Count,
        batch_size: Count,
        eval_batch_size: Count,
        valid_share: PartShare,
        test_share: PartShare,
        data_seed: int,
        data_dir: Path,
        source: str | None,
    ):
        arrays = ensure_arrays(EXCHANGE_RATE, data_dir, source, say)
        rates_NK = arrays["rates"]
        change_NK = rates_NK[1:] / rates_NK[:-1] - 1
        n_before = round(len(change_NK) * (1 - test_share))
        n_train = round(n_before * (1 - valid_share))
        sizes = {"train": n_train, "valid": n_before - n_train, "test": len(change_NK) - n_before}
        mean_K, deviation_K = change_NK[:n_before].mean(0), change_NK[:n_before].std(0)
        errors = Errors(change_NK[:n_train], 1, mean_K, deviation_K)
        standard_NK = (change_NK - mean_K) / deviation_K
        super().__init__(standard_NK, sizes, errors, window, batch_size, eval_batch_size, data_seed)
        self.version = {"name": "exchange_rate", "version": 1, "data_sha256": arrays.sha256}

    @classmethod
    def published(cls, settings: dict[str, Any]) -> Published:
        return EXCHANGE_RATE

    @classmethod
    def contents(cls, arrays: ArraySet) -> str:
        return f"{len(arrays['rates']):,} days of {len(COLUMNS)} rates"
