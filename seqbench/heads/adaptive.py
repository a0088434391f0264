"""Adaptive softmax: the rarer a band of words, the narrower (Grave et al. 2017, arXiv 1609.04309).

Baevski and Auli 2019, arXiv 1809.10853. The vocabulary must be sorted by falling frequency.

Band 0 holds the words below the first cutoff, band i those from cutoff i - 1 on. The first softmax is over band 0's
words and one entry for each further band:

    p(w | y) = p_0(w | y) in band 0,    p_0(band i | y) p_i(w | y) in band i,    p_i = softmax(E_i P_i^T y + b_i)

E_i has d / div_value^i columns, so a rare word costs little, and only the bands that the targets are in are computed.

Shapes: N targets, D features, C words, K words of a band and B bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.head import Head
from seqbench.contracts.ranges import Positive
from seqbench.embeddings.adaptive import AdaptiveEmbedding, band_edges, band_widths, normal_table
from seqbench.heads.softmax import log_softmax


class Adaptive(Head):
    """A distribution over words in bands by frequency.

    - `cutoffs` are the bands' edges, rising and below the number of words; none: the full softmax.
    - `div_value`: without an `embedding`, E_i has D / div_value^i columns, and there is no P_0.
    - `bias` adds b_i, to all entries of the first softmax too.
    - `embedding`: one of the same bands (embedding=adaptive) gives the E_i.
    - `tied_projections`: P_i for i > 0 is the embedding's, too, as in Transformer-XL.
    """

    def __init__(
        self,
        d_input: int,
        n_outputs: int,
        cutoffs: Sequence[int],
        div_value: Positive = 4.0,
        bias: bool = False,
        tied_projections: bool = False,
        embedding: nn.Module | None = None,
    ):
        super().__init__()
        self.edges = band_edges(n_outputs, cutoffs)
        self.starts: Tensor
        self.register_buffer("starts", torch.tensor(self.edges[1:-1]), persistent=False)
        n_bands = len(self.edges) - 1
        if tied_projections and embedding is None:
            raise ValueError("tied_projections needs network.tied=true and embedding=adaptive")
        if embedding is None:
            widths = band_widths(d_input, div_value, n_bands)
            self.tables = nn.ParameterList(
                normal_table(stop - start, width, width)
                for (start, stop), width in zip(pairwise(self.edges), widths, strict=True)
            )
            self.projections = nn.ParameterList(normal_table(d_input, width, d_input) for width in widths[1:])
        else:
            tied = self._check(embedding, d_input, div_value)
            widths = [table.shape[1] for table in tied.tables]
            self.tables = tied.tables
            projections_of_bands = [normal_table(d_input, width, d_input) for width in widths if div_value != 1]
            if tied_projections:
                projections_of_bands[1:] = tied.projections[1:]
            self.projections = nn.ParameterList(projections_of_bands)
        self.band_table = normal_table(n_bands - 1, widths[0], widths[0]) if n_bands > 1 else None
        n_entries = [stop - start for start, stop in pairwise(self.edges)]
        n_entries[0] += n_bands - 1
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(n)) for n in n_entries if bias)

    def losses(self, z_NC: Tensor, target_N: Tensor) -> Tensor:
        """(N,) negative log-likelihoods in nats."""
        band_N = torch.bucketize(target_N, self.starts, right=True)
        # in the first softmax a word of band i > 0 is the band's entry
        entry_N = target_N.where(band_N == 0, self.edges[1] + band_N - 1)
        losses_N = F.nll_loss(self._band(z_NC, 0), entry_N, reduction="none")
        for band in range(1, len(self.edges) - 1):
            # also where no target is in the band: every parameter has a gradient, be it zero, in every process
            row_n = (band_N == band).nonzero().squeeze(1)
            own_n = F.nll_loss(self._band(z_NC[row_n], band), target_N[row_n] - self.edges[band], reduction="none")
            losses_N = losses_N.index_add(0, row_n, own_n)
        return losses_N

    def log_probs(self, z_NC: Tensor) -> Tensor:
        """(N, C) log-probabilities."""
        first_NK = self._band(z_NC, 0)
        n_common = self.edges[1]
        parts = [first_NK[:, :n_common]]
        for band in range(1, len(self.edges) - 1):
            parts.append(first_NK[:, n_common + band - 1, None] + self._band(z_NC, band))
        return torch.cat(parts, 1)

    def _band(self, y_ND: Tensor, band: int) -> Tensor:
        """(N, K) log-probabilities within a band: band 0's, with the entries of the others at its end."""
        table_KD = self.tables[band]
        if band == 0 and self.band_table is not None:
            table_KD = torch.cat([table_KD, self.band_table])
        index = band - (len(self.edges) - 1 - len(self.projections))  # P_0 may be missing, or all of them
        if index >= 0:
            y_ND = y_ND @ self.projections[index]
        return log_softmax(F.linear(y_ND, table_KD, self.biases[band] if len(self.biases) else None))

    def _check(self, embedding: nn.Module, d_input: int, div_value: float) -> AdaptiveEmbedding:
        if not isinstance(embedding, AdaptiveEmbedding):
            raise ValueError("tied weights need an adaptive embedding (embedding=adaptive)")
        if (embedding.edges, embedding.div_value) != (self.edges, div_value):
            raise ValueError("tied weights need embedding.cutoffs and embedding.div_value to be those of the head")
        if embedding.d_embed != d_input:
            raise ValueError(
                f"tied weights need the model's width, {d_input}, to be embedding.d_embed, {embedding.d_embed}"
            )
        return embedding
