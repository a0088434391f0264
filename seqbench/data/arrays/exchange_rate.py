"""Daily exchange rates of eight countries to the US dollar, 1990 to 2016 (Lai et al. 2018, arXiv 1703.07015).

As the authors of the ARMA cell keep them (github.com/phschiele/armacell_paper, benchmarks/data): a CSV file with the
date in its first column.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from seqbench.data.arrays.published import Arrays, Published
from seqbench.data.series.table import read_table

COLUMNS = ("Australia", "British", "Canada", "Switzerland", "China", "Japan", "New Zealand", "Singapore")


def _read(files: Mapping[str, Path]) -> Arrays:
    return {"rates": read_table(files["rates"], COLUMNS).values}


EXCHANGE_RATE = Published(
    name="exchange_rate",
    title="the exchange rates",
    version=1,
    folders=("exchange_rate",),
    files={"rates": ("exchange_processed.csv",)},
    read=_read,
    arrays={"rates": "bbaae1a3af7b0fa493d6b3950f565e3cfcacae9f6a026bf67a3c46a1ee9d825a"},
)
