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

import itertools
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
from seqbench.models.cells.norm.batch_norm import BatchNorm
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
    - `backend` does not affect results: reference is a loop in PyTorch, native a compiled one, on a CPU, in a run of
      one process, and with batch_norm or none; auto is native where there is one.
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
        self.couples_rows = self.norm_cell.couples_rows

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        with torch.autocast(x.device.type, enabled=False):
            x_TB = x.transpose(0, 1)
            x_TB = x_TB.to(self.weight_input.dtype) if x.is_floating_point() else x_TB
            h_BH, c_BH, t_B = self._first(len(x)) if state is None else state
            start = int(t_B[0]) if len(t_B) else 0
            loop = self._native if self._is_native(x_TB) else self._reference
            h_TBH, c_BH = loop(x_TB, h_BH, c_BH, start)
            last_h_BH = h_TBH[-1] if len(h_TBH) else h_BH
        return h_TBH.transpose(0, 1), (last_h_BH, c_BH, t_B + len(x_TB)), None

    def prepare_evaluation(self, inputs: Iterable[tuple[Tensor, bool]], peers: Peers) -> None:
        """Estimate the population's statistics, if the norms have such, in a pass over training batches."""
        norms = [norm for norm in self._norms() if isinstance(norm, BatchNorm)]
        if not norms:
            return
        for norm in norms:
            norm.begin_estimate()
        state: State = None
        for x, is_reset in itertools.islice(inputs, norms[0].n_batches):
            _, state, _ = self(x, None if is_reset else state)
        for norm in norms:
            norm.end_estimate()

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

    def _reference(self, x_TB: Tensor, h_BH: Tensor, c_BH: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """The definition: outputs (T, B, H) and the last cell."""
        b_TBK, outputs = self._normalise(self.norm_input, project(x_TB, self.weight_input), start) + self.bias, []
        for t, b_BK in enumerate(b_TBK.unbind(0), start):
            a_BK = self._normalise(self.norm_hidden, (h_BH @ self.weight_hidden)[None], t)[0]
            i, f, g, o = (a_BK + b_BK).chunk(GATES, 1)
            c_BH = f.sigmoid() * c_BH + i.sigmoid() * g.tanh()
            h_BH = o.sigmoid() * (self._normalise(self.norm_cell, c_BH[None], t)[0] + self.bias_cell).tanh()
            outputs.append(h_BH)
        return torch.stack(outputs) if outputs else h_BH.new_empty(0, *h_BH.shape), c_BH

    def _normalise(self, norm: Norm, x_TBD: Tensor, start: int) -> Tensor:
        return norm(x_TBD, start, self.peers) if isinstance(norm, BatchNorm) else norm(x_TBD)

    def _is_native(self, x_TB: Tensor) -> bool:
        if self.backend == "reference":
            return False
        weight = self.weight_hidden
        can = weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.float64) and x_TB.numel() > 0
        can = can and isinstance(self.norm_cell, (BatchNorm, NoNorm)) and isinstance(self.peers, Alone)
        can = can and normalised.library() is not None
        if not can and self.backend == "native":
            raise BackendError("backend=native, but there is no compiled loop for this device, type, norm or world.")
        return can

    def _native(self, x_TB: Tensor, h_BH: Tensor, c_BH: Tensor, start: int) -> tuple[Tensor, Tensor]:
        statistics, gains, eps = None, [], 0.0
        norms = [norm for norm in self._norms() if isinstance(norm, BatchNorm)]
        n_features = 2 * self.bias.numel() + self.bias_cell.numel()
        if not norms:
            ones_TS = self.bias.new_ones(len(x_TB), n_features)
            statistics, gains = normalised.Statistics(torch.zeros_like(ones_TS), ones_TS, 0.0), [ones_TS[0]]
        else:
            gains, eps = [norm.gain for norm in norms], norms[0].eps
            if not self.training:
                means, variances = zip(*(norm.population(start, len(x_TB)) for norm in norms), strict=True)
                statistics = normalised.Statistics(torch.cat(means, 1), torch.cat(variances, 1), eps)
        weights = (self.weight_input, self.weight_hidden, torch.cat(gains), torch.cat([self.bias, self.bias_cell]))
        h_TBH, c_BH, used = normalised.lstm(x_TB, *weights, h_BH, c_BH, statistics, eps, self._spare)
        if statistics is None:
            sizes = [norm.gain.numel() for norm in norms]
            parts = zip(norms, used.mean_TS.split(sizes, 1), used.variance_TS.split(sizes, 1), strict=True)
            for norm, mean_TD, variance_TD in parts:
                norm.observe(start, mean_TD, variance_TD)
        return h_TBH, c_BH
