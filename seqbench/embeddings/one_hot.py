"""No embedding: tokens are read as one-hot vectors, real features as they are."""

from __future__ import annotations

from torch import Tensor

from seqbench.contracts.embedding import Embedding


class OneHot(Embedding):
    """Leaves its input as it is: ids (B, T), which stand for one-hot vectors of `n_tokens` numbers, so that a backbone
    can look rows up where it would multiply by them; or features (B, T, `n_features`)."""

    dense = False

    def __init__(self, n_tokens: int | None, n_features: int | None):
        super().__init__()
        self.d_output = n_tokens or n_features or 0

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs
