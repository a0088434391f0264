"""LSTM with norms at chosen places (Cooijmans et al. 2016, arXiv 1603.09025; Ba et al. 2016, arXiv 1607.06450).

With N for a norm of its own at each place, or for none:

    s_t = N_sum(N_hidden(h_{t-1} U + b_hidden) + N_input(x_t W + b_input)) + b_sum        i, f, g, o = s_t
    c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)         h_t = sigmoid(o) tanh(N_cell(c_t) + b_cell)

The cell that is carried on is not normalised. conf/model has the papers' choices as presets: `bn_lstm` (Cooijmans et
al.), `ln_lstm` (Ba et al.), `atn_lstm` (Pospisil et al. 2022, arXiv 2209.14439), and `bln_lstm`, with batch layer
normalisation. Laurent et al. 2015 (arXiv 1510.01378) have batch_norm at norms=[input]. The order of the gates has no
effect: a norm is of all four at once, or of each feature.

Shapes: T time, B batch, D features, H hidden size, K the gates i, f, g, o of H each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from torch import Tensor, nn

from seqbench.compiled import BackendError
from seqbench.contracts.norm import Norm, Steps
from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Backend, Count, Dropout, NotNegative, OneOf
from seqbench.models.cells.time_loop import norm_layer_native
from seqbench.models.cells.time_loop.norm_layer import Memory, NormLayer, Placing
from seqbench.models.cells.time_loop.norm_stack import NormStack
from seqbench.models.cells.time_loop.recurrence import Spare

GATES = 4


class NormLSTM(NormStack):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, H). State: (for each layer (h, c, memory of the norms), t), h and c
    (B, H), t (B,) the number of steps so far.

    - `norm` is the norm at the places `norms`, of input, hidden, sum and cell; `biases` has the places of biases.
    - `dropout` acts between layers.
    - `init` of U: identity for g and one orthogonal H x 3 H matrix for the other gates (identity), the identity for
      each gate (identities), one orthogonal H x 4 H matrix (orthogonal); W is orthogonal in all three. Or all weights
      and biases in +-`init_range` (uniform; null: 1/sqrt(H)).
    - `forget_bias` is the forget gate's bias at the start, of b_sum (null: as the others). Others are zero.
    - `trained_start`: the first h and c are trained, from zero.
    - `state_noise` is the standard deviation of noise on the first h: 0.1 in Cooijmans et al. for MNIST in order, whose
      images begin alike. Evaluations draw the same each time.
    - `backend` does not affect results: reference is a loop in PyTorch, native a compiled one, on a CPU, for the norms
      of conf/norm but not at the sum; with statistics of the batch without padding and, to train, in one process. auto
      is native where it can.
    """

    machine_settings = ("backend",)

    def __init__(
        self,
        d_input: int,
        hidden_size: Count,
        norm: Callable[..., Norm],
        norms: Sequence[str] = ("input", "hidden", "cell"),
        biases: Sequence[str] = ("sum", "cell"),
        n_layers: Count = 1,
        dropout: Dropout = 0.0,
        init: Annotated[str, OneOf("identity", "identities", "orthogonal", "uniform")] = "identity",
        init_range: NotNegative | None = None,
        forget_bias: float | None = 1.0,
        trained_start: bool = True,
        state_noise: NotNegative = 0.0,
        backend: Backend = "auto",
        peers: Peers | None = None,
    ):
        if forget_bias and "sum" not in biases:
            raise ValueError(f"forget_bias={forget_bias} is of the bias of the sum, which biases does not name")
        layers = [
            LSTMLayer(d_input if index == 0 else hidden_size, hidden_size, Placing(norm, norms, biases), trained_start)
            for index in range(n_layers)
        ]
        for layer in layers:
            layer.reset_weights(init, init_range)
            layer.state_noise, layer.backend = state_noise, backend
            if forget_bias is not None and "sum" in biases:
                layer.biases["sum"].data[hidden_size : 2 * hidden_size] = forget_bias
        super().__init__(layers, dropout, peers)
        self.touches_all = not trained_start  # a carried state takes the place of the first one


class LSTMLayer(NormLayer):
    """One layer. State: (h, c, memory)."""

    def __init__(self, d_input: int, hidden_size: int, placing: Placing, trained_start: bool):
        n_gates = GATES * hidden_size
        sizes = {"input": n_gates, "hidden": n_gates, "sum": n_gates, "cell": hidden_size}
        super().__init__(d_input, hidden_size, sizes, placing)
        self.first_h = nn.Parameter(torch.zeros(hidden_size)) if trained_start else None
        self.first_c = nn.Parameter(torch.zeros(hidden_size)) if trained_start else None
        self.state_noise, self.backend, self._spare = 0.0, "auto", Spare()

    def reset_weights(self, init: str, init_range: float | None = None) -> None:
        super().reset_weights(init, init_range)
        n, eye_HH = self.hidden_size, torch.eye(self.hidden_size)
        if init == "identity":
            i_HH, f_HH, o_HH = nn.init.orthogonal_(torch.empty(n, 3 * n)).chunk(3, 1)
            self.weight_hidden.data.copy_(torch.cat([i_HH, f_HH, eye_HH, o_HH], 1))
        if init == "identities":
            self.weight_hidden.data.copy_(eye_HH.repeat(1, GATES))

    def first(self, n_rows: int) -> State:
        zero_BH = self.weight_hidden.new_zeros(n_rows, self.hidden_size)
        h_BH, c_BH = (zero_BH if start is None else start.expand(n_rows, -1) for start in (self.first_h, self.first_c))
        if self.state_noise:
            fixed = None if self.training else torch.Generator(h_BH.device).manual_seed(0)
            h_BH = h_BH + self.state_noise * torch.empty_like(h_BH).normal_(generator=fixed)
        return h_BH, c_BH, self.no_memory()

    def forward(self, x_TB: Tensor, state: State, steps: Steps) -> tuple[Tensor, State]:
        h_BH, c_BH, memory = *state[:2], dict(state[2])
        how = None if self.backend == "reference" else norm_layer_native.how_on(self, x_TB, steps)
        if how is not None:
            h_TBH, c_BH, memory = norm_layer_native.run(self, x_TB, h_BH, c_BH, memory, steps, how, self._spare)
        elif self.backend == "native":
            raise BackendError(
                "backend=native, but the compiled loop is for float32 or float64 on a CPU, for the norms of conf/norm "
                "at input, hidden and cell and, with statistics of the batch, without padding and, to train, for one "
                "process."
            )
        else:
            h_TBH, c_BH, memory = self._reference(x_TB, h_BH, c_BH, memory, steps)
        return h_TBH, (h_TBH[-1] if len(h_TBH) else h_BH, c_BH, memory)

    def _reference(
        self, x_TB: Tensor, h_BH: Tensor, c_BH: Tensor, memory: Memory, steps: Steps
    ) -> tuple[Tensor, Tensor, Memory]:
        """The definition: outputs (T, B, H), the last cell and the memory."""
        outputs = [h_BH.new_empty(0, *h_BH.shape)]
        for t, b_BK in enumerate(self.of_inputs(x_TB, steps, memory).unbind(0)):
            step = steps.only(t)
            a_BK = self.at("hidden", self.biased("hidden", h_BH @ self.weight_hidden), step, memory)
            i, f, g, o = self.biased("sum", self.at("sum", a_BK + b_BK, step, memory)).chunk(GATES, 1)
            c_BH = f.sigmoid() * c_BH + i.sigmoid() * g.tanh()
            h_BH = o.sigmoid() * self.biased("cell", self.at("cell", c_BH, step, memory)).tanh()
            outputs.append(h_BH[None])
        return torch.cat(outputs), c_BH, memory
