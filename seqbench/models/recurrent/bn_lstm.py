"""LSTM with batch normalisation (Cooijmans, Ballas, Laurent, Gulcehre, Courville 2016, arXiv 1603.09025).

Normalised are what the last output gives to the gates, what the input gives to them, and the cell on its way out (eq. 6
to 8), each by a norm N of its own. The cell that is carried on is not.

    i, f, g, o = N(h_{t-1} U) + N(x_t W) + b
    c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g)         h_t = sigmoid(o) tanh(N(c_t) + b_c)

The first h and c are trained. With norm=none this is the baseline of the authors' scripts: an LSTM with b_c and trained
first states. Any other norm of features will do, too: layer_norm makes it the LSTM of Ba et al. 2016.

Shapes: T time, B batch, D features, H hidden size, K the gates i, f, g, o of H each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated

import torch
from torch import Tensor, nn

from seqbench.compiled import BackendError
from seqbench.contracts.backbone import Backbone, ParameterGroup
from seqbench.contracts.norm import Norm
from seqbench.contracts.peers import Alone, Peers
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Backend, Count, NotNegative, OneOf
from seqbench.models.cells.norm.batch_norm import BatchNorm, estimate_population
from seqbench.models.cells.norm.none import NoNorm
from seqbench.models.cells.time_loop import normalised
from seqbench.models.cells.time_loop.recurrence import Spare, project

GATES = 4


class BNLSTM(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, H). State: (h, c, t), each of the batch: h and c (B, H), and t (B,),
    the number of steps so far, the same in all rows, by which a norm's statistics are chosen.

    - `init`: U is the identity for g and one orthogonal H x 3 H matrix for the other gates (identity, for MNIST), or
      one orthogonal H x 4 H matrix (orthogonal, for text). W is orthogonal in both.
    - `forget_bias` is the forget gate's bias at the start; all others are zero.
    - `state_noise` is the standard deviation of noise on the first h: 0.1 in the paper for MNIST in order, whose images
      begin alike. Evaluations draw the same each time.
    - `backend` does not affect results: reference is a loop in PyTorch, native a compiled one, on a CPU, with
      batch_norm or none, without padding and, to train with batch_norm, in one process; auto is native where it can.

    With batch_norm a step's statistics are of the rows that are not padding there (`valid_BT`).
    """

    machine_settings = ("backend",)

    def __init__(
        self,
        d_input: int,
        hidden_size: Count,
        norm: Callable[..., Norm],
        init: Annotated[str, OneOf("identity", "orthogonal")] = "identity",
        forget_bias: float = 1.0,
        state_noise: NotNegative = 0.0,
        backend: Backend = "auto",
        peers: Peers | None = None,
    ):
        super().__init__()
        self.d_output, self.state_noise, self.backend = hidden_size, state_noise, backend
        self.peers, self._spare = peers or Alone(), Spare()
        n_gates = GATES * hidden_size
        self.weight_input = nn.Parameter(nn.init.orthogonal_(torch.empty(d_input, n_gates)))
        self.weight_hidden = nn.Parameter(nn.init.orthogonal_(torch.empty(hidden_size, n_gates)))
        if init == "identity":
            i_f_o_HK = nn.init.orthogonal_(torch.empty(hidden_size, 3 * hidden_size))
            i_HH, f_HH, o_HH = i_f_o_HK.chunk(3, 1)
            self.weight_hidden.data.copy_(torch.cat([i_HH, f_HH, torch.eye(hidden_size), o_HH], 1))
        self.bias = nn.Parameter(torch.zeros(n_gates))
        self.bias.data[hidden_size : 2 * hidden_size] = forget_bias
        self.bias_cell = nn.Parameter(torch.zeros(hidden_size))
        self.first_h, self.first_c = (nn.Parameter(torch.zeros(hidden_size)) for _ in range(2))
        self.norm_hidden, self.norm_input = norm(d_input=n_gates), norm(d_input=n_gates)
        self.norm_cell = norm(d_input=hidden_size)
        self.couples_rows = self.reads_valid = self.norm_cell.couples_rows

    def forward(self, x: Tensor, state: State = None, valid_BT: Tensor | None = None) -> tuple[Tensor, State, None]:
        with torch.autocast(x.device.type, enabled=False):
            x_TB, valid_TB = x.transpose(0, 1), None if valid_BT is None or valid_BT.all() else valid_BT.T
            x_TB = x_TB.to(self.weight_input.dtype) if x.is_floating_point() else x_TB
            h_BH, c_BH, t_B = self._first(len(x)) if state is None else state
            start = int(t_B[0]) if len(t_B) else 0
            if self._is_native(x_TB, valid_TB):
                h_TBH, c_BH = self._native(x_TB, h_BH, c_BH, start)
            else:
                h_TBH, c_BH = self._reference(x_TB, h_BH, c_BH, start, valid_TB)
            last_h_BH = h_TBH[-1] if len(h_TBH) else h_BH
        return h_TBH.transpose(0, 1), (last_h_BH, c_BH, t_B + len(x_TB)), None

    def prepare_evaluation(self, passes: Iterable[None], peers: Peers) -> None:
        """Estimate the population's statistics, if the norms have such, in passes over training batches."""
        estimate_population([norm for norm in self._norms() if isinstance(norm, BatchNorm)], passes)

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        return {"recurrent": ParameterGroup([self.weight_hidden], recurrent=True)}

    def _norms(self) -> list[Norm]:
        return [self.norm_hidden, self.norm_input, self.norm_cell]

    def _first(self, n_rows: int) -> tuple[Tensor, Tensor, Tensor]:
        h_BH, c_BH = self.first_h.expand(n_rows, -1), self.first_c.expand(n_rows, -1)
        if self.state_noise:
            fixed = None if self.training else torch.Generator(h_BH.device).manual_seed(0)
            h_BH = h_BH + self.state_noise * torch.empty_like(h_BH).normal_(generator=fixed)
        return h_BH, c_BH, torch.zeros(n_rows, dtype=torch.long, device=h_BH.device)

    def _reference(
        self, x_TB: Tensor, h_BH: Tensor, c_BH: Tensor, start: int, valid_TB: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The definition: outputs (T, B, H) and the last cell."""

        def normalised_at(t: int, norm: Norm, x_BD: Tensor) -> Tensor:
            valid_1B = None if valid_TB is None else valid_TB[t : t + 1]
            return self._normalise(norm, x_BD[None], start + t, valid_1B)[0]

        b_TBK = self._normalise(self.norm_input, project(x_TB, self.weight_input), start, valid_TB) + self.bias
        outputs = []
        for t, b_BK in enumerate(b_TBK.unbind(0)):
            s_BK = normalised_at(t, self.norm_hidden, h_BH @ self.weight_hidden) + b_BK
            i, f, g, o = s_BK.chunk(GATES, 1)
            c_BH = f.sigmoid() * c_BH + i.sigmoid() * g.tanh()
            h_BH = o.sigmoid() * (normalised_at(t, self.norm_cell, c_BH) + self.bias_cell).tanh()
            outputs.append(h_BH)
        return torch.stack(outputs) if outputs else h_BH.new_empty(0, *h_BH.shape), c_BH

    def _normalise(self, norm: Norm, x_TBD: Tensor, start: int, valid_TB: Tensor | None) -> Tensor:
        return norm(x_TBD, start, valid_TB, self.peers) if isinstance(norm, BatchNorm) else norm(x_TBD)

    def _is_native(self, x_TB: Tensor, valid_TB: Tensor | None) -> bool:
        if self.backend == "reference":
            return False
        weight = self.weight_hidden
        can = weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.float64) and x_TB.numel() > 0
        can = can and (isinstance(self.norm_cell, NoNorm) or self._has_statistics_here())
        can = can and valid_TB is None and normalised.library() is not None
        if not can and self.backend == "native":
            raise BackendError(
                "backend=native, but the compiled loop is for float32 or float64 on a CPU, for batch_norm or none, "
                "without padding and, where it trains with batch_norm, for one process."
            )
        return can

    def _has_statistics_here(self) -> bool:
        """Whether those of a step are the population's, or of rows that this process has all."""
        return type(self.norm_cell) is BatchNorm and (not self.training or isinstance(self.peers, Alone))

    def _native(self, x_TB: Tensor, h_BH: Tensor, c_BH: Tensor, start: int) -> tuple[Tensor, Tensor]:
        norms = [norm for norm in self._norms() if isinstance(norm, BatchNorm)]
        statistics, eps = None, 0.0
        if norms:
            gain_S, eps = torch.cat([norm.gain for norm in norms]), norms[0].eps
            if not self.training:
                means, variances = zip(*(norm.population(start, len(x_TB)) for norm in norms), strict=True)
                statistics = normalised.Statistics(torch.cat(means, 1), torch.cat(variances, 1), eps)
        else:
            ones_TS = self.bias.new_ones(len(x_TB), 2 * self.bias.numel() + self.bias_cell.numel())
            statistics, gain_S = normalised.Statistics(torch.zeros_like(ones_TS), ones_TS, eps), ones_TS[0]
        weights = (self.weight_input, self.weight_hidden, gain_S, torch.cat([self.bias, self.bias_cell]))
        h_TBH, c_BH, used = normalised.lstm(x_TB, *weights, h_BH, c_BH, statistics, eps, self._spare)
        if statistics is None:
            sizes = [norm.gain.numel() for norm in norms]
            parts = zip(norms, used.mean_TS.split(sizes, 1), used.variance_TS.split(sizes, 1), strict=True)
            rows_T = x_TB.new_full((len(x_TB),), x_TB.shape[1])
            for norm, mean_TD, variance_TD in parts:
                norm.observe(start, mean_TD, variance_TD, rows_T)
        return h_TBH, c_BH
