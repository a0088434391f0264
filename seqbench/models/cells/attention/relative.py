"""Causal attention with relative positions over a span (Dai et al. 2019, arXiv 1901.02860, section 3.3).

Of queries, keys and values that the caller has projected, as in Transformer-XL.

    A_ij = ((q_i + u) . k_j + (q_i + w) . r_{i-j}) / sqrt(E)        i - span <= j <= i
    o_i = sum_j softmax_j(A_ij) v_j

u is the content's bias, w the position's; r_d is a projection of the sinusoidal encoding of the distance d.

Plain products: F.scaled_dot_product_attention with the relative term as its mask was no faster in training.

Shapes: B batch, T queries, S keys (the last T of them the queries' own positions), D features, H heads, E = D / H
features of a head, L distances.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def sinusoids(n_distances: int, like_D: Tensor) -> Tensor:
    """Encodings (L, D) of the distances 0, 1, ..., sines first and then cosines; dtype, device and even D from
    `like_D`."""
    d_model = like_D.shape[-1]
    distance_L = torch.arange(n_distances, device=like_D.device, dtype=torch.float64)
    rates = 10000.0 ** (-torch.arange(0, d_model, 2, device=like_D.device, dtype=torch.float64) / d_model)
    angles = distance_L[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1).to(like_D.dtype)


def attend(
    q_BTD: Tensor,
    k_BSD: Tensor,
    v_BSD: Tensor,
    r_LD: Tensor,
    content_bias_HE: Tensor,
    position_bias_HE: Tensor,
    span: int,
    dropout: float,
) -> Tensor:
    """What each query draws from its own position and the `span` before it, fewer where there are no more: (B, T, D).

    `r_LD` are the projected encodings of the distances 0 to L - 1, at least min(S, span + 1) of them. `dropout` acts on
    the weights (0 in evaluation). At most `span` queries are taken at a time, so a long T costs T span and not T^2.
    """
    n_steps, n_before = q_BTD.shape[1], k_BSD.shape[1] - q_BTD.shape[1]
    q, k, v, r_HLE = (_heads(x, len(content_bias_HE)) for x in (q_BTD, k_BSD, v_BSD, r_LD))
    outputs = []
    for start in range(0, max(n_steps, 1), span):
        stop = min(start + span, n_steps)
        keys = slice(max(n_before + start - span, 0), n_before + stop)
        weights = _weights(q[:, :, start:stop], k[:, :, keys], r_HLE, content_bias_HE, position_bias_HE, span)
        outputs.append(F.dropout(weights, dropout) @ v[:, :, keys])
    return torch.cat(outputs, 2).transpose(1, 2).flatten(2)


def _weights(q_BHTE: Tensor, k_BHSE: Tensor, r_HLE: Tensor, u_HE: Tensor, w_HE: Tensor, span: int) -> Tensor:
    """(B, H, T, S), each row a distribution over the keys in reach."""
    n_queries, n_keys = q_BHTE.shape[2], k_BHSE.shape[2]
    r_HLE = r_HLE[:, : min(n_keys, span + 1)].flip(1)  # farthest first
    content = (q_BHTE + u_HE[:, None]) @ k_BHSE.transpose(-1, -2)
    position = _by_key((q_BHTE + w_HE[:, None]) @ r_HLE.transpose(-1, -2), n_keys)
    distance_TS = torch.arange(n_keys - n_queries, n_keys, device=q_BHTE.device)[:, None]
    distance_TS = distance_TS - torch.arange(n_keys, device=q_BHTE.device)
    out_of_reach = (distance_TS < 0) | (distance_TS > span)
    scores = (content + position) / math.sqrt(q_BHTE.shape[-1])
    return scores.masked_fill(out_of_reach, -math.inf).softmax(-1)


def _by_key(x_BHTL: Tensor, n_keys: int) -> Tensor:
    """From a column for each distance, L - 1 to 0, to a column for each key: (B, H, T, S). Row i moves left by
    T - 1 - i, which rows one column too long do when read as rows of S; out of reach stands what is of no use."""
    n_queries, n_distances = x_BHTL.shape[-2:]
    flat = F.pad(x_BHTL, (1 + n_keys - n_distances, 0)).flatten(-2)
    return flat[..., n_queries:].unflatten(-1, (n_queries, n_keys))


def _heads(x: Tensor, n_heads: int) -> Tensor:
    """(..., T, D) to (..., H, T, E)."""
    return x.unflatten(-1, (n_heads, -1)).transpose(-2, -3)
