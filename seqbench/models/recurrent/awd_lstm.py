"""AWD-LSTM: an LSTM with dropped weights and locked dropout (Merity, Keskar, Socher 2018, arXiv 1708.02182).

Its activations are regularised, too; conventions as in the authors' code (ICLR 2018).

    h^l_t, c^l_t = LSTM_l(x^l_t, h^l_{t-1}, c^l_{t-1}; U_l * m_l)      x^{l+1}_t = h^l_t * n_l      y_t = h^L_t * n_L
    aux = alpha mean(y^2) + beta mean((h^L_{t+1} - h^L_t)^2)

m_l drops elements of the recurrent matrix, the same ones in every row and at every step of a forward pass; n_l drops
features of a row, the same ones at every step. Both are drawn anew in each forward pass, whatever the state carried.

Shapes: B batch, T time, D features, H hidden size.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, Dropout, NotNegative
from seqbench.models.cells.time_loop.stack import RecurrentStack, initialise, lstm, weights


class AWDLSTM(RecurrentStack):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, d_last). State: per layer (h, c), each (B, H), the last (B, d_last).

    - `d_last` is the last layer's width, the embedding's where the readout is tied to it (null: `hidden_size`).
    - Locked dropout: `dropout_input` on x, `dropout_hidden` between layers, `dropout_output` on y.
    - `dropout_recurrent` drops weights.
    - `activation_weight` is alpha, `temporal_weight` beta; aux is there in training alone.

    Every layer starts uniform in +-1/sqrt(its width).
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: Count,
        n_layers: Count = 3,
        d_last: Count | None = None,
        dropout_input: Dropout = 0.4,
        dropout_hidden: Dropout = 0.25,
        dropout_output: Dropout = 0.4,
        dropout_recurrent: Dropout = 0.5,
        activation_weight: NotNegative = 2.0,
        temporal_weight: NotNegative = 1.0,
    ):
        widths = [d_input, *[hidden_size] * (n_layers - 1), hidden_size if d_last is None else d_last]
        layers = [nn.LSTM(below, width, batch_first=True) for below, width in itertools.pairwise(widths)]
        for layer in layers:
            initialise(layer, "uniform", None)
        if n_layers == 1 and dropout_hidden > 0:
            raise ValueError(
                f"dropout_hidden={dropout_hidden} applies between layers and there is only one; use dropout_output"
            )
        super().__init__(layers, dropout_hidden)
        self.dropout_input, self.dropout_output = dropout_input, dropout_output
        self.dropout_recurrent = dropout_recurrent
        self.activation_weight, self.temporal_weight = activation_weight, temporal_weight

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, Tensor | None]:
        if not x.is_floating_point():
            x = F.one_hot(x, self._d_input).to(weights(self.layers[0])[0].dtype)
        x, new_state = self._locked(x, self.dropout_input), []
        for index, layer in enumerate(self.layers):
            if index > 0:
                x = self._locked(x, self.dropout)
            x, after = self._run(layer, x, None if state is None else state[index])
            new_state.append(after)
        y = self._locked(x, self.dropout_output)
        return y, tuple(new_state), self._penalty(x, y) if self.training else None

    def _run(self, layer: nn.Module, x: Tensor, before: State) -> tuple[Tensor, State]:
        input_weight, recurrent_weight, *biases = weights(layer)
        dropped = F.dropout(recurrent_weight, self.dropout_recurrent, self.training)
        return lstm([input_weight, dropped, *biases], x, before, self.training)

    def _locked(self, x_BTD: Tensor, dropout: float) -> Tensor:
        """Dropout with one mask for all steps of a row."""
        if not self.training or dropout == 0:
            return x_BTD
        return x_BTD * F.dropout(torch.ones_like(x_BTD[:, :1]), dropout)

    def _penalty(self, raw_BTD: Tensor, dropped_BTD: Tensor) -> Tensor | None:
        """Activation regularisation of what leaves, and temporal of what the last layer gave."""
        terms = []
        if self.activation_weight:
            terms.append(self.activation_weight * _mean_square(dropped_BTD))
        if self.temporal_weight and raw_BTD.shape[1] > 1:
            terms.append(self.temporal_weight * _mean_square(raw_BTD[:, 1:] - raw_BTD[:, :-1]))
        return sum(terms[1:], terms[0]) if terms else None


def _mean_square(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32)).square().mean()
