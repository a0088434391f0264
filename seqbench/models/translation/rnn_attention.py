"""Encoder and decoder made of any two backbones, joined by attention (Luong et al. 2015, arXiv 1508.04025).

Luong, Pham, Manning, without input feeding: so the decoder runs over a whole target at once.

    m = encoder(x), or (encoder(x), encoder'(x reversed)) side by side
    h_t = decoder(y_1, ..., y_t)        c_t = attention(h_t, m)        out_t = tanh(W (c_t, h_t))

Scores as cells/attention/source.py has them; with an LSTM or GRU and attention=additive it scores as Bahdanau et al.
2015 (arXiv 1409.0473).

Shapes: B batch, S source positions, T target positions, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone, ParameterGroup
from seqbench.contracts.encoder_decoder import EncoderDecoder
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, Dropout, OneOf
from seqbench.models.cells.attention.source import Attention, reversed_within


class RNNAttention(EncoderDecoder):
    """Two backbones and the attention between them. Their parameter groups go by their names, together: "recurrent"
    holds encoder and decoder.

    - `encoder` and `decoder` make a backbone of so many input features.
    - `bidirectional`: two encoders, of which one reads the source backwards.
    - `attention` is additive, general or dot, and `d_attention` the width of additive scores.
    - `d_combined` is the width of what comes out (null: the decoder's).
    - `dropout` acts on the encoder's output and on what comes out.
    """

    def __init__(
        self,
        d_input: int,
        encoder: Callable[..., Backbone],
        decoder: Callable[..., Backbone],
        bidirectional: bool = True,
        attention: Annotated[str, OneOf("additive", "general", "dot")] = "additive",
        d_attention: Count = 256,
        d_combined: Count | None = None,
        dropout: Dropout = 0.0,
    ):
        super().__init__()
        self.encoders = nn.ModuleList(encoder(d_input=d_input) for _ in range(2 if bidirectional else 1))
        self.decoder = decoder(d_input=d_input)
        for part in (*self.encoders, self.decoder):
            if not isinstance(part, Backbone):
                raise ValueError(f"{type(part).__name__} has an encoder and a decoder itself, and is no part of one")
        d_memory = sum(part.d_output for part in self._encoders())
        self.attention = Attention(self.decoder.d_output, d_memory, attention, d_attention)
        self.d_output = d_combined or self.decoder.d_output
        self.combine = nn.Linear(d_memory + self.decoder.d_output, self.d_output)
        nn.init.xavier_uniform_(self.combine.weight)
        nn.init.zeros_(self.combine.bias)
        self.dropout = dropout

    def encode(self, x_BSD: Tensor, valid_BS: Tensor) -> tuple[State, Tensor | None]:
        outputs, auxiliary = [], []
        for index, part in enumerate(self._encoders()):
            y_BSD, _, aux = part(reversed_within(x_BSD, valid_BS) if index else x_BSD)
            outputs.append(reversed_within(y_BSD, valid_BS) if index else y_BSD)
            auxiliary.append(aux)
        memory_BSD = F.dropout(torch.cat(outputs, 2), self.dropout, self.training)
        return self.attention.remember(memory_BSD, valid_BS), _sum(auxiliary)

    def decode(self, x_BTD: Tensor, memory: State, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        h_BTD, decoder, aux = self.decoder(x_BTD, None if state is None else state["decoder"])
        context_BTD, weight_BTS = self.attention(h_BTD, memory)
        y_BTD = self.combine(torch.cat([context_BTD, h_BTD], 2)).tanh()
        coverage_BS = weight_BTS.sum(1) + (0 if state is None else state["coverage"])
        return F.dropout(y_BTD, self.dropout, self.training), {"decoder": decoder, "coverage": coverage_BS}, aux

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        """Those of encoder and decoder, together under one name; where they want different rates, the decoder's as
        "decoder_<name>"."""
        groups: dict[str, ParameterGroup] = {}
        for part in self.parts():
            for name, group in part.parameter_groups().items():
                before = groups.get(name, replace(group, parameters=[]))
                if replace(before, parameters=[]) != replace(group, parameters=[]):
                    groups[f"decoder_{name}"] = group
                    continue
                groups[name] = replace(group, parameters=[*before.parameters, *group.parameters])
        return groups

    def parts(self) -> list[Backbone]:
        return [*self._encoders(), self.decoder]

    def _encoders(self) -> list[Backbone]:
        return list(self.encoders)  # type: ignore[arg-type]


def _sum(auxiliary: list[Tensor | None]) -> Tensor | None:
    present = [aux for aux in auxiliary if aux is not None]
    return sum(present[1:], start=present[0]) if present else None
