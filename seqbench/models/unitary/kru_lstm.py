"""KRU-LSTM: an LSTM whose recurrent matrices are Kronecker products (Jose et al. 2018, arXiv 1705.10142).

Jose, Cisse, Fleuret, ICML 2018, section on KRU-LSTM; real factors, no penalty.

    i, f, o = sigmoid(U x_t + W h_{t-1} + b)      g = tanh(U_g x_t + W_g h_{t-1} + b_g)
    c_t = f * c_{t-1} + i * g                     h_t = o * tanh(c_t)

Each of the four W is a Kronecker product of its own: 4 F P^2 recurrent numbers where an LSTM has 4 N^2.

Shapes: B batch, T time, D features, N units, P and Q the sides of the merged factors (N = P Q).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone, ParameterGroup
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count
from seqbench.models.cells.maps.kronecker import Kronecker, checked_sizes, random_unitary
from seqbench.models.cells.time_loop.recurrence import project

GATES = 4  # input, forget, output, candidate


class KRULSTM(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, N). State: (h, c), each (B, N).

    `factor_sizes`: as KRU's. U is Glorot-uniform, b zero but for the forget gate's `forget_bias`. The factors are the
    parameter group "recurrent".
    """

    def __init__(
        self, d_input: int, hidden_size: Count, factor_sizes: Sequence[Count] | None = None, forget_bias: float = 1.0
    ):
        super().__init__()
        sizes = checked_sizes(hidden_size, factor_sizes)
        self.d_output = hidden_size
        self.factors = nn.ParameterList(
            nn.Parameter(torch.stack([random_unitary(size, is_complex=False) for _ in range(GATES)])) for size in sizes
        )
        self.weight_input = nn.Parameter(nn.init.xavier_uniform_(torch.empty(d_input, GATES * hidden_size)))
        self.bias = nn.Parameter(torch.zeros(GATES * hidden_size))
        self.bias.data[hidden_size : 2 * hidden_size] = forget_bias

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        maps = [Kronecker([factor[gate] for factor in self.factors]) for gate in range(GATES)]
        a_GPP, c_GQQ = torch.stack([gate.a_PP for gate in maps]), torch.stack([gate.c_QQ.T for gate in maps])
        zero_BN = self.weight_input.new_zeros(len(x), self.d_output)
        (h_BN, c_BN), outputs = (zero_BN, zero_BN) if state is None else state, [zero_BN[:, None][:, :0]]
        for x_BN in (project(x, self.weight_input) + self.bias).unbind(1):
            h_B1PQ = h_BN.unflatten(1, (1, a_GPP.shape[1], c_GQQ.shape[1]))
            gates = x_BN + (a_GPP @ h_B1PQ @ c_GQQ).flatten(1)
            i, f, o, g = gates.chunk(GATES, 1)
            c_BN = f.sigmoid() * c_BN + i.sigmoid() * g.tanh()
            h_BN = o.sigmoid() * c_BN.tanh()
            outputs.append(h_BN[:, None])
        return torch.cat(outputs, 1), (h_BN, c_BN), None

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        return {"recurrent": ParameterGroup(list(self.factors), recurrent=True)}
