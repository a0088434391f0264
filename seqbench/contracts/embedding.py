"""The contract of an embedding: how a task's inputs become the features that a backbone reads."""

from __future__ import annotations

from torch import Tensor, nn


class Embedding(nn.Module):
    """`forward` maps (B, T) token ids to (B, T, `d_output`) features; one that is not `dense` leaves its input as it
    is: ids that stand for one-hot vectors, or real features. A constructor that takes `n_tokens` or `n_features` is
    given the task's, None where it has none. One whose table a head can share has a `weight` (n_tokens, d_output)."""

    d_output: int
    dense: bool = True

    def forward(self, inputs: Tensor) -> Tensor:
        raise NotImplementedError


def require_tokens(embedding: Embedding, n_tokens: int | None) -> int:
    """The number of tokens. Raises `ValueError` where the task's inputs are real numbers, which none embeds."""
    if n_tokens is None:
        raise ValueError(f"{type(embedding).__name__} embeds tokens, and this task's inputs are real numbers")
    return n_tokens
