"""Transformer, encoder and decoder (Vaswani et al. 2017, arXiv 1706.03762).

    x = sqrt(d) embedding + sinusoids      encoder layer: x + self-attention, x + feed-forward
                                           decoder layer: x + causal self-attention, x + attention to the source, x + ff

with a norm after each sum (the paper's) or before each part, and one at the end (`pre_norm`; Xiong et al. 2020, arXiv
2002.04745).

Shapes: B batch, S source positions, T target positions, P positions so far, D features, H heads, E features of a head.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.encoder_decoder import EncoderDecoder
from seqbench.contracts.norm import Norm
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, Dropout
from seqbench.models.cells.attention.source import MultiHead
from seqbench.models.cells.norm.layer_norm import LayerNorm


class TranslationTransformer(EncoderDecoder):
    """Encoder and decoder of `n_layers` each. State: for each layer the keys and values of the target so far,
    (B, H, P, E).

    - `d_model` is the width of the embeddings too: they may be shared with the head.
    - `d_inner` is the width between the two linear maps of a feed-forward part.
    - `dropout` acts on each part's output and on the sums of embeddings and sinusoids; `dropout_attention` on
      attention's weights.
    - `pre_norm` puts the norm before each part and one at the end; else it follows each sum.
    - `norm` makes one of so many features.
    """

    def __init__(
        self,
        d_input: int,
        d_model: Count,
        n_heads: Count,
        n_layers: Count,
        d_inner: Count,
        dropout: Dropout = 0.1,
        dropout_attention: Dropout = 0.0,
        pre_norm: bool = False,
        norm: Callable[..., Norm] = LayerNorm,
    ):
        super().__init__()
        if d_input != d_model:
            raise ValueError(f"embedding.d_embed is the model's width: {d_model}, not {d_input}")
        if d_model % n_heads or d_model % 2:
            raise ValueError(f"d_model={d_model} is even and divides into n_heads={n_heads}")
        self.d_output = self.d_model = d_model
        self.dropout = dropout
        settings = (d_model, n_heads, d_inner, dropout, dropout_attention, pre_norm, norm)
        self.encoder = nn.ModuleList(_Layer(*settings, attends=False) for _ in range(n_layers))
        self.decoder = nn.ModuleList(_Layer(*settings, attends=True) for _ in range(n_layers))
        self.encoder_norm = norm(d_input=d_model) if pre_norm else nn.Identity()
        self.decoder_norm = norm(d_input=d_model) if pre_norm else nn.Identity()

    def encode(self, x_BSD: Tensor, valid_BS: Tensor) -> tuple[State, None]:
        x_BSD = self._placed(x_BSD, 0)
        seen_B11S = valid_BS[:, None, None]
        for layer in self.encoder:
            x_BSD, _, _ = layer(x_BSD, None, seen_B11S)
        x_BSD = self.encoder_norm(x_BSD)
        keys = tuple(layer.to_source.remember(x_BSD) for layer in self._decoder() if layer.to_source)
        return {"keys": keys, "valid": valid_BS}, None

    def decode(self, x_BTD: Tensor, memory: State, state: State = None) -> tuple[Tensor, State, None]:
        past = 0 if state is None else state["layers"][0][0].shape[2]
        n_new = x_BTD.shape[1]
        x_BTD = self._placed(x_BTD, past)
        seen_TP = torch.ones(n_new, past + n_new, dtype=torch.bool, device=x_BTD.device).tril(past)
        source_B11S, layers, weight_BTS = memory["valid"][:, None, None], [], None
        for index, layer in enumerate(self._decoder()):
            before = None if state is None else state["layers"][index]
            x_BTD, after, weight_BTS = layer(x_BTD, before, seen_TP, memory["keys"][index], source_B11S)
            layers.append(after)
        assert weight_BTS is not None
        coverage_BS = weight_BTS.sum(1) + (0 if state is None else state["coverage"])  # of the last layer
        return self.decoder_norm(x_BTD), {"layers": tuple(layers), "coverage": coverage_BS}, None

    def _decoder(self) -> list[_Layer]:
        return list(self.decoder)  # type: ignore[arg-type]

    def _placed(self, x_BTD: Tensor, first: int) -> Tensor:
        x_BTD = x_BTD * math.sqrt(self.d_model)
        x_BTD = x_BTD + positions(first, x_BTD.shape[1], self.d_model, x_BTD.device).to(x_BTD.dtype)
        return F.dropout(x_BTD, self.dropout, self.training)


class _Layer(nn.Module):
    """Self-attention, attention to the source where it `attends`, and two linear maps with a ReLU between."""

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        d_inner: int,
        dropout: float,
        dropout_attention: float,
        pre_norm: bool,
        norm: Callable[..., Norm],
        attends: bool,
    ):
        super().__init__()
        self.dropout, self.pre_norm = dropout, pre_norm
        self.to_self = MultiHead(d_model, n_heads, dropout_attention)
        self.to_source = MultiHead(d_model, n_heads, dropout_attention) if attends else None
        self.wide, self.narrow = nn.Linear(d_model, d_inner), nn.Linear(d_inner, d_model)
        for part in (self.wide, self.narrow):
            nn.init.xavier_uniform_(part.weight)
            nn.init.zeros_(part.bias)
        self.norms = nn.ModuleList(norm(d_input=d_model) for _ in range(3 if attends else 2))

    def forward(
        self,
        x_BTD: Tensor,
        past: tuple[Tensor, Tensor] | None,
        seen: Tensor,
        source: tuple[Tensor, Tensor] | None = None,
        source_seen: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor], Tensor | None]:
        """y, the keys and values of self-attention with the `past` ones, and the weights of the source's positions."""
        norms = iter(self.norms)
        norm = next(norms)
        own_BTD = norm(x_BTD) if self.pre_norm else x_BTD
        keys = self.to_self.remember(own_BTD)
        if past is not None:
            keys = (torch.cat([past[0], keys[0]], 2), torch.cat([past[1], keys[1]], 2))
        x_BTD = self._sum(x_BTD, self.to_self(own_BTD, keys, seen)[0], norm)
        weight_BTS = None
        if self.to_source is not None and source is not None:
            norm = next(norms)
            part_BTD, weight_BTS = self.to_source(norm(x_BTD) if self.pre_norm else x_BTD, source, source_seen)
            x_BTD = self._sum(x_BTD, part_BTD, norm)
        norm = next(norms)
        part_BTD = self.narrow(self.wide(norm(x_BTD) if self.pre_norm else x_BTD).relu())
        return self._sum(x_BTD, part_BTD, norm), keys, weight_BTS

    def _sum(self, x_BTD: Tensor, part_BTD: Tensor, norm: nn.Module) -> Tensor:
        total_BTD = x_BTD + F.dropout(part_BTD, self.dropout, self.training)
        return total_BTD if self.pre_norm else norm(total_BTD)


def positions(first: int, n: int, d_model: int, device: torch.device) -> Tensor:
    """(n, d_model) of positions `first`, ...: sin(p / 10000^(2 i / d)) in the even columns 2 i, cos in the odd ones."""
    place_n1 = torch.arange(first, first + n, device=device, dtype=torch.float64)[:, None]
    rate = torch.exp(torch.arange(0, d_model, 2, device=device, dtype=torch.float64) * (-math.log(10_000) / d_model))
    return torch.stack([(place_n1 * rate).sin(), (place_n1 * rate).cos()], 2).flatten(1)
