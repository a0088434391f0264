"""Google's neural machine translation system (Wu et al. 2016, arXiv 1609.08144).

    encoder     layer 1 of both directions, then layers of one, with residual sums from the third on
    decoder     layer 1: y_i = LSTM(x_i, a_i), a_i = attention(y_{i-1}, encoder); layers above: LSTM(h_i, a_i), with
                residual sums from the third on

The attention is the one-layer network of Bahdanau et al. 2015. The bottom layer needs its own last output for its next
input, so it goes step by step; the layers above run over a whole target.

Shapes: B batch, S source positions, T target positions, D features, H hidden size.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import ParameterGroup
from seqbench.contracts.encoder_decoder import EncoderDecoder
from seqbench.contracts.pytree import State, tree_map
from seqbench.contracts.ranges import AtLeast, Count, Dropout, NotNegative
from seqbench.models.cells.attention.source import Attention, reversed_within
from seqbench.models.cells.time_loop.stack import LSTMLayer, initialise, weights

_FIRST_RESIDUAL = 2  # the third layer


class GNMT(EncoderDecoder):
    """Encoder and decoder of stacked LSTMs. State: the bottom layer's and the upper layers' (h, c), each (B, H).

    - `n_layers` in the encoder, the bottom one of two directions counted once, and in the decoder.
    - `d_attention` is the width of the attention's hidden layer (null: `hidden_size`; the paper does not give it).
    - `dropout` acts on what enters each layer, but for the contexts that enter the decoder's bottom one.
    - `init_range` r: all weights of recurrences are U(-r, r).
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: Count,
        n_layers: Annotated[int, AtLeast(2)],
        d_attention: Count | None = None,
        dropout: Dropout = 0.2,
        init_range: NotNegative = 0.04,
    ):
        super().__init__()
        self.hidden_size, self.dropout, self.d_output = hidden_size, dropout, hidden_size
        widths = [d_input, 2 * hidden_size, *[hidden_size] * (n_layers - 2)]
        self.backward_layer = LSTMLayer(d_input, hidden_size, batch_first=True)
        self.encoder = nn.ModuleList(LSTMLayer(width, hidden_size, batch_first=True) for width in widths)
        self.attention = Attention(hidden_size, hidden_size, "additive", d_attention or hidden_size)
        self.bottom = LSTMLayer(d_input + hidden_size, hidden_size, batch_first=True)
        self.upper = nn.ModuleList(
            LSTMLayer(2 * hidden_size, hidden_size, batch_first=True) for _ in range(n_layers - 1)
        )
        for layer in self._recurrences():
            initialise(layer, "uniform", init_range)

    def encode(self, x_BSD: Tensor, valid_BS: Tensor) -> tuple[State, None]:
        x_BSD = self._dropped(x_BSD)
        ahead_BSH, _ = self.encoder[0](x_BSD)
        back_BSH, _ = self.backward_layer(reversed_within(x_BSD, valid_BS))
        x_BSD = torch.cat([ahead_BSH, reversed_within(back_BSH, valid_BS)], 2)
        for index, layer in enumerate(self.encoder):
            if index == 0:
                continue
            y_BSH, _ = layer(self._dropped(x_BSD))
            x_BSD = y_BSH + x_BSD if index >= _FIRST_RESIDUAL else y_BSH
        return self.attention.remember(x_BSD, valid_BS), None

    def decode(self, x_BTD: Tensor, memory: State, state: State = None) -> tuple[Tensor, State, None]:
        h_BTH, context_BTH, bottom, coverage_BS = self._bottom(self._dropped(x_BTD), memory, state)
        upper = []
        for index, layer in enumerate(self.upper):
            before = None if state is None else tree_map(lambda tensor: tensor.unsqueeze(0), state["upper"][index])
            y_BTH, after = layer(self._dropped(torch.cat([h_BTH, context_BTH], 2)), before)
            h_BTH = y_BTH + h_BTH if index + 1 >= _FIRST_RESIDUAL else y_BTH
            upper.append(tree_map(lambda tensor: tensor.squeeze(0), after))
        return h_BTH, {"bottom": bottom, "upper": tuple(upper), "coverage": coverage_BS}, None

    def _bottom(self, x_BTD: Tensor, memory: State, state: State) -> tuple[Tensor, Tensor, State, Tensor]:
        """The bottom layer's outputs, the contexts that went into them, its state and the coverage."""
        input_weight, recurrent_weight, *biases = weights(self.bottom)
        bias = biases[0] + biases[1]
        zero_BH = x_BTD.new_zeros(len(x_BTD), self.hidden_size)
        h_BH, c_BH = (zero_BH, zero_BH) if state is None else state["bottom"]
        coverage_BS = torch.zeros_like(memory["valid"], dtype=x_BTD.dtype) if state is None else state["coverage"]
        token_BTG = F.linear(x_BTD, input_weight[:, : x_BTD.shape[2]], bias)  # of all steps at once
        inner = torch.cat([input_weight[:, x_BTD.shape[2] :], recurrent_weight], 1)
        outputs, contexts = [], []
        for token_BG in token_BTG.unbind(1):
            context_B1H, weight_B1S = self.attention(h_BH.unsqueeze(1), memory)
            context_BH = context_B1H.squeeze(1)
            i, f, g, o = (token_BG + F.linear(torch.cat([context_BH, h_BH], 1), inner)).chunk(4, 1)
            c_BH = f.sigmoid() * c_BH + i.sigmoid() * g.tanh()
            h_BH = o.sigmoid() * c_BH.tanh()
            coverage_BS = coverage_BS + weight_B1S.squeeze(1)
            outputs.append(h_BH)
            contexts.append(context_BH)
        return torch.stack(outputs, 1), torch.stack(contexts, 1), (h_BH, c_BH), coverage_BS

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        return {"recurrent": ParameterGroup([weights(layer)[1] for layer in self._recurrences()], recurrent=True)}

    def _recurrences(self) -> list[nn.LSTM]:
        return [self.backward_layer, *self.encoder, self.bottom, *self.upper]  # type: ignore[list-item]

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)
