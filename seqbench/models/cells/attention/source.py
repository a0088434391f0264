"""Attention over a source's positions, with one score a position or with several heads.

One score: Bahdanau et al. 2015, arXiv 1409.0473; Luong et al. 2015, arXiv 1508.04025. Heads: Vaswani et al. 2017,
arXiv 1706.03762.

    context_t = sum_s softmax_s(score(q_t, k_s)) v_s        over the positions that are no padding

    additive   score = u . tanh(W q + K k)
    general    score = q W k
    dot        score = q . k

Shapes: B batch, T queries, S positions, D features, A attention's width, H heads, E features of a head.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.pytree import State


class Attention(nn.Module):
    """`remember` prepares what is attended to, once; then queries (B, T, d_query) find contexts (B, T, d_memory)."""

    def __init__(self, d_query: int, d_memory: int, kind: str, d_attention: int):
        super().__init__()
        if kind == "dot" and d_query != d_memory:
            raise ValueError(
                f"attention=dot needs a decoder as wide as the encoder's output, {d_memory}, not {d_query}"
            )
        self.kind = kind
        if kind == "additive":
            self.query, self.key = nn.Linear(d_query, d_attention), nn.Linear(d_memory, d_attention, bias=False)
            self.score = nn.Linear(d_attention, 1, bias=False)
        elif kind == "general":
            self.key = nn.Linear(d_memory, d_query, bias=False)

    def remember(self, memory_BSD: Tensor, valid_BS: Tensor) -> State:
        keys_BSA = memory_BSD if self.kind == "dot" else self.key(memory_BSD)
        return {"keys": keys_BSA, "values": memory_BSD, "valid": valid_BS}

    def forward(self, query_BTD: Tensor, memory: State) -> tuple[Tensor, Tensor]:
        """Contexts (B, T, D) and weights (B, T, S)."""
        if self.kind == "additive":
            both_BTSA = self.query(query_BTD).unsqueeze(2) + memory["keys"].unsqueeze(1)
            score_BTS = self.score(both_BTSA.tanh()).squeeze(-1)
        else:
            score_BTS = query_BTD @ memory["keys"].transpose(1, 2)
        weight_BTS = masked_softmax(score_BTS, memory["valid"].unsqueeze(1))
        return weight_BTS.to(memory["values"].dtype) @ memory["values"], weight_BTS


class MultiHead(nn.Module):
    """`n_heads` scaled dot products side by side, d_model = H E wide. Keys and values are made by `remember`, apart, so
    that a decoder keeps those of its past. Weights by Glorot's uniform, query, key and value as one matrix."""

    def __init__(self, d_model: int, n_heads: int, dropout: float):
        super().__init__()
        self.n_heads, self.dropout = n_heads, dropout
        self.query, self.key, self.value, self.output = (nn.Linear(d_model, d_model) for _ in range(4))
        for part in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(part.weight, gain=1 / math.sqrt(2))  # the bound of the stacked (3 d, d)
        nn.init.xavier_uniform_(self.output.weight)
        for part in (self.query, self.key, self.value, self.output):
            nn.init.zeros_(part.bias)

    def remember(self, x_BSD: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, (B, H, S, E) each."""
        return self._heads(self.key(x_BSD)), self._heads(self.value(x_BSD))

    def forward(self, x_BTD: Tensor, keys: tuple[Tensor, Tensor], seen: Tensor | None) -> tuple[Tensor, Tensor]:
        """y (B, T, D) and the heads' mean weights (B, T, S); `seen`, broadcast to (B, H, T, S), says what is attended
        to (None: everything)."""
        query_BHTE = self._heads(self.query(x_BTD))
        key_BHSE, value_BHSE = keys
        score_BHTS = query_BHTE @ key_BHSE.transpose(2, 3) / math.sqrt(query_BHTE.shape[-1])
        weight_BHTS = masked_softmax(score_BHTS, seen)
        dropped_BHTS = F.dropout(weight_BHTS, self.dropout, self.training).to(value_BHSE.dtype)
        y_BTD = (dropped_BHTS @ value_BHSE).transpose(1, 2).flatten(2)
        return self.output(y_BTD), weight_BHTS.mean(1)

    def _heads(self, x_BTD: Tensor) -> Tensor:
        return x_BTD.unflatten(2, (self.n_heads, -1)).transpose(1, 2)


def masked_softmax(score: Tensor, seen: Tensor | None) -> Tensor:
    """Along the last axis, in float32 at least; zero where not `seen`."""
    score = score.double() if score.element_size() == 8 else score.float()
    return (score if seen is None else score.masked_fill(~seen, -torch.inf)).softmax(-1)


def reversed_within(x_BSD: Tensor, valid_BS: Tensor) -> Tensor:
    """Each row's valid positions, which come first, in reverse; the padding stays behind them. Its own inverse."""
    place_S = torch.arange(valid_BS.shape[1], device=valid_BS.device)
    length_B1 = valid_BS.sum(1, keepdim=True)
    index_BS = torch.where(valid_BS, length_B1 - 1 - place_S, place_S)
    return x_BSD.gather(1, index_BS.unsqueeze(-1).expand_as(x_BSD))
