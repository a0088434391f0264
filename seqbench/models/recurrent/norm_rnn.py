"""Simple recurrent network with norms at chosen places (Laurent et al. 2015, arXiv 1510.01378; Ba et al. 2016).

With N for a norm of its own at each place, or for none:

    h_t = tanh(N_sum(N_hidden(h_{t-1} U + b_hidden) + N_input(x_t W + b_input)) + b_sum)

Laurent, Pereyra, Brakel, Zhang, Bengio 2015 find that batch normalisation helps at the input (the preset `bn_rnn`), and
not at the sum. Ba, Kiros, Hinton 2016 (arXiv 1607.06450) have layer normalisation at the sum.

Shapes: T time, B batch, D features, H hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from torch import Tensor, nn

from seqbench.contracts.norm import Norm, Steps
from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, Dropout, NotNegative, OneOf
from seqbench.models.cells.time_loop.norm_layer import NormLayer, Placing
from seqbench.models.cells.time_loop.norm_stack import NormStack


class NormRNN(NormStack):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, H). State: (for each layer (h, memory of the norms), t), h (B, H), t
    (B,) the number of steps so far.

    - `norm` is the norm at the places `norms`, of input, hidden and sum; `biases` has the places of biases.
    - `dropout` acts between layers.
    - `init` of U: the identity, or an orthogonal matrix; W is orthogonal in both. Or all weights and biases in
      +-`init_range` (uniform; null: 1/sqrt(H)).

    There is no compiled loop for it.
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: Count,
        norm: Callable[..., Norm],
        norms: Sequence[str] = ("input", "hidden"),
        biases: Sequence[str] = ("sum",),
        n_layers: Count = 1,
        dropout: Dropout = 0.0,
        init: Annotated[str, OneOf("identity", "orthogonal", "uniform")] = "orthogonal",
        init_range: NotNegative | None = None,
        peers: Peers | None = None,
    ):
        layers = [
            RNNLayer(d_input if index == 0 else hidden_size, hidden_size, Placing(norm, norms, biases))
            for index in range(n_layers)
        ]
        for layer in layers:
            layer.reset_weights(init, init_range)
            if init == "identity":
                nn.init.eye_(layer.weight_hidden)
        super().__init__(layers, dropout, peers)


class RNNLayer(NormLayer):
    """One layer. State: (h, memory)."""

    def __init__(self, d_input: int, hidden_size: int, placing: Placing):
        super().__init__(
            d_input, hidden_size, {"input": hidden_size, "hidden": hidden_size, "sum": hidden_size}, placing
        )

    def forward(self, x_TB: Tensor, state: State, steps: Steps) -> tuple[Tensor, State]:
        h_BH, memory = state[0], dict(state[1])
        outputs = [h_BH.new_empty(0, *h_BH.shape)]
        for t, b_BH in enumerate(self.of_inputs(x_TB, steps, memory).unbind(0)):
            step = steps.only(t)
            a_BH = self.at("hidden", self.biased("hidden", h_BH @ self.weight_hidden), step, memory)
            h_BH = self.biased("sum", self.at("sum", a_BH + b_BH, step, memory)).tanh()
            outputs.append(h_BH[None])
        return torch.cat(outputs), (h_BH, memory)
