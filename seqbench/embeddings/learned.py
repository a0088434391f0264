"""A learned table: one vector a token."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.embedding import Embedding, require_tokens
from seqbench.contracts.ranges import Count, NotNegative


class LearnedEmbedding(Embedding):
    """A learned table: one vector for each token.

    ids (B, T) -> (B, T, d_embed): rows of a table that starts in U(-`init_range`, `init_range`), or in N(0, 1) where
    that is null.
    """

    def __init__(self, n_tokens: int | None, d_embed: Count, init_range: NotNegative | None):
        super().__init__()
        self.d_output = d_embed
        self.weight = nn.Embedding(require_tokens(self, n_tokens), d_embed).weight
        if init_range is not None:
            nn.init.uniform_(self.weight, -init_range, init_range)

    def forward(self, inputs: Tensor) -> Tensor:
        return F.embedding(inputs, self.weight)
