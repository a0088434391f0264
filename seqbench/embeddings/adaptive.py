"""Adaptive input: the rarer a band of words, the narrower (Baevski and Auli 2019, arXiv 1809.10853).

The vocabulary must be sorted by falling frequency.

Band 0 holds the words below the first cutoff, band i those from cutoff i - 1 on; its table has d / div_value^i columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.embedding import Embedding, require_tokens
from seqbench.contracts.ranges import Count, Positive


class AdaptiveEmbedding(Embedding):
    """Adaptive input: the rarer a band of words, the narrower (Baevski and Auli 2019, arXiv 1809.10853).

    ids (B, T) -> (B, T, d_embed): rows of a table of d_embed / div_value^i columns for band i, times P_i^T.

    With `div_value` 1 there are no P_i. Tables are N(0, 1 / width) at the start, P_i N(0, 1 / d_embed).
    """

    def __init__(self, n_tokens: int | None, d_embed: Count, cutoffs: Sequence[int], div_value: Positive):
        super().__init__()
        n_tokens = require_tokens(self, n_tokens)
        self.d_output = d_embed
        self.edges, self.div_value, self.d_embed = band_edges(n_tokens, cutoffs), div_value, d_embed
        widths = band_widths(d_embed, div_value, len(self.edges) - 1)
        self.tables = nn.ParameterList(
            normal_table(stop - start, width, width)
            for (start, stop), width in zip(pairwise(self.edges), widths, strict=True)
        )
        self.projections = nn.ParameterList(normal_table(d_embed, width, d_embed) for width in widths if div_value != 1)

    def forward(self, ids_BT: Tensor) -> Tensor:
        flat_N = ids_BT.flatten()
        rows, parts = [], []
        for band, (start, stop) in enumerate(pairwise(self.edges)):
            row_n = ((flat_N >= start) & (flat_N < stop)).nonzero().squeeze(1)
            x = F.embedding(flat_N[row_n] - start, self.tables[band])
            rows.append(row_n)
            parts.append(x if self.div_value == 1 else x @ self.projections[band].T)
        order = torch.cat(rows).argsort()  # the parts' rows, band after band, back where they came from
        return torch.cat(parts)[order].view(*ids_BT.shape, self.d_embed)


def band_edges(n_words: int, cutoffs: Sequence[int]) -> list[int]:
    """[0, cutoffs..., n_words]."""
    edges = [0, *cutoffs, n_words]
    if any(start >= stop for start, stop in pairwise(edges)):
        raise ValueError(f"cutoffs must rise and be below the number of words, {n_words}, not {list(cutoffs)}")
    return edges


def band_widths(width: int, div_value: float, n_bands: int) -> list[int]:
    """Columns of each band's table."""
    widths = [int(width // div_value**band) for band in range(n_bands)]
    if widths[-1] < 1:
        raise ValueError(f"div_value={div_value} leaves the last of {n_bands} bands no column of {width}")
    return widths


def normal_table(rows: int, columns: int, fan: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(rows, columns) * fan**-0.5)
