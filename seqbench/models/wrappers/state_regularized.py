"""State regularisation: a GRU or LSTM drawn to finitely many states (Wang and Niepert 2019, arXiv 1901.08817).

The cell's output u_t is replaced, before the next step, by a mixture of k centroids, the rows of S:

    u_t = cell(h_{t-1}, x_t)          a_t = softmax(u_t S^T / temperature)          h_t = a_t S

As the temperature falls to 0 the mixture becomes one row, and the network a finite automaton; as it grows, h_t becomes
the mean row whatever was read. An LSTM's cells c_t are not regularised: they are a memory beside the automaton. Its
peepholes p (SR-LSTM-P) let the gates see it:

    i, f += p_i, p_f * c_{t-1}          o += p_o * c_t

Shapes: B batch, T time, D input features, H hidden size, G gates times H, K centroids.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone, ParameterGroup
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, NotNegative, OneOf, Positive
from seqbench.models.cells.time_loop.stack import RecurrentStack, weights


class StateRegularized(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, H). State: h (B, H), or (h, c) around an LSTM.

    - `backbone` makes the cell: an LSTM or GRU of one layer, whose weights and initialisation these are; its kernels
      are not used.
    - `n_states` is k, `temperature` divides the scores.
    - `learned` trains the centroids; otherwise they stay where they begin.
    - `init_range` r: centroids and peepholes begin in U(-r, r).
    - `peepholes` are an LSTM's.
    - `reads` says what y is: h, the mixture, or u, the cell's output, as in the authors' SR-LSTM-P, whose classifier
      reads a sequence's last output unregularised.
    """

    def __init__(
        self,
        d_input: int,
        backbone: Callable[..., Backbone],
        n_states: Count = 10,
        temperature: Positive = 1.0,
        learned: bool = True,
        init_range: NotNegative = 0.5,
        peepholes: bool = False,
        reads: Annotated[str, OneOf("h", "u")] = "h",
    ):
        super().__init__()
        self.backbone = backbone(d_input=d_input)
        layers = list(self.backbone.layers) if isinstance(self.backbone, RecurrentStack) else []
        is_plain = type(self.backbone).forward is RecurrentStack.forward  # AWD-LSTM's, for one, does more
        if not is_plain or len(layers) != 1 or not isinstance(layers[0], (nn.LSTM, nn.GRU)):
            raise ValueError("states are those of an LSTM or GRU of one layer: backbone is such a model")
        self.is_lstm = isinstance(layers[0], nn.LSTM)
        if peepholes and not self.is_lstm:
            raise ValueError("peepholes=true is for an LSTM: a GRU has no cells to look at")
        self.temperature, self.reads = temperature, reads
        self.d_output = hidden_size = self.backbone.d_output
        centroids_KH = torch.empty(n_states, hidden_size).uniform_(-init_range, init_range)
        if learned:
            self.centroids_KH = nn.Parameter(centroids_KH)
        else:
            self.register_buffer("centroids_KH", centroids_KH)
        self.peepholes_3H: nn.Parameter | None = None  # of i, f and o
        if peepholes:
            self.peepholes_3H = nn.Parameter(torch.empty(3, hidden_size).uniform_(-init_range, init_range))

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        u_BTH, _, h_BTH, state = self._read(x, state)
        return (h_BTH if self.reads == "h" else u_BTH), state, None

    def states(self) -> Tensor:
        """The centroids, (K, H)."""
        return self.centroids_KH

    def state_ids(self, x: Tensor, state: State = None) -> Tensor:
        """(B, T): the centroid of most weight after each input."""
        return self._read(x, state)[1].argmax(-1)

    def _read(self, x: Tensor, state: State) -> tuple[Tensor, Tensor, Tensor, State]:
        """u_BTH, a_BTK, h_BTH and the state after the last input."""
        input_weight_GD, weight_GH, input_bias_G, bias_G = weights(self._layer())
        if x.is_floating_point():
            x_BTG = F.linear(x, input_weight_GD, input_bias_G)
        else:
            x_BTG = F.embedding(x, input_weight_GD.T + input_bias_G)
        h_BH = x_BTG.new_zeros(len(x), self.d_output)
        c_BH = torch.zeros_like(h_BH)
        if state is not None:
            h_BH, c_BH = state if self.is_lstm else (state, c_BH)
        sharpened_KH = self.centroids_KH / self.temperature
        us, weightings, hs = [], [], []
        for x_BG in x_BTG.unbind(1):
            h_BG = F.linear(h_BH, weight_GH, bias_G)
            if self.is_lstm:
                u_BH, c_BH = self._lstm(x_BG + h_BG, c_BH)
            else:
                u_BH = _gru(x_BG, h_BG, h_BH)
            a_BK = F.linear(u_BH, sharpened_KH).softmax(-1)
            h_BH = a_BK @ self.centroids_KH
            us.append(u_BH)
            weightings.append(a_BK)
            hs.append(h_BH)
        after = (h_BH, c_BH) if self.is_lstm else h_BH
        return torch.stack(us, 1), torch.stack(weightings, 1), torch.stack(hs, 1), after

    def _lstm(self, gates_BG: Tensor, c_BH: Tensor) -> tuple[Tensor, Tensor]:
        i_BH, f_BH, g_BH, o_BH = gates_BG.chunk(4, -1)
        if self.peepholes_3H is not None:
            i_BH, f_BH = i_BH + self.peepholes_3H[0] * c_BH, f_BH + self.peepholes_3H[1] * c_BH
        c_BH = f_BH.sigmoid() * c_BH + i_BH.sigmoid() * g_BH.tanh()
        if self.peepholes_3H is not None:
            o_BH = o_BH + self.peepholes_3H[2] * c_BH
        return o_BH.sigmoid() * c_BH.tanh(), c_BH

    def _layer(self) -> nn.Module:
        assert isinstance(self.backbone, RecurrentStack)
        return self.backbone.layers[0]

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        groups = self.backbone.parameter_groups()
        if isinstance(self.centroids_KH, nn.Parameter):
            groups["states"] = ParameterGroup([self.centroids_KH])
        return groups


def _gru(x_BG: Tensor, h_BG: Tensor, h_BH: Tensor) -> Tensor:
    """The cell of models/recurrent/gru.py, whose reset gate acts after the recurrent product."""
    hidden_size = h_BH.shape[1]
    r_BH, z_BH = (x_BG + h_BG)[:, : 2 * hidden_size].sigmoid().chunk(2, -1)
    n_BH = (x_BG[:, 2 * hidden_size :] + r_BH * h_BG[:, 2 * hidden_size :]).tanh()
    return n_BH + z_BH * (h_BH - n_BH)
