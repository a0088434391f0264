"""NC-GRU: a GRU whose candidate reads an orthogonal recurrence (Mucllari et al. 2022, arXiv 2208.06496).

Mucllari, Zadorozhnyy, Pospisil, Nguyen, Ye. Equations and initialisation as in the authors' code, which has two forms:

    r, u = sigmoid(x_t G + h_{t-1} G_h + g)
    c = modReLU(x_t U + (r * h_{t-1}) W)        reset before the product: denoising, parentheses (TensorFlow)
    c = modReLU(x_t U + r * (h_{t-1} W))        reset after it: characters (PyTorch)
    h_t = u * h_{t-1} + (1 - u) * c             modReLU(z) = sign(z) max(|z| + b, 0)

W = (I + A)^{-1} (I - A) D is orthogonal, by an exact inverse or one continued by a Neumann series
(cells/maps/neumann.py). In NC-GRU(U_c, U_r), r's recurrent matrix is another such.

Shapes: B batch, T time, D features, H hidden size, G = 2 H, or H where the reset's matrix is orthogonal.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone, ParameterGroup
from seqbench.contracts.peers import Peers
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, NotNegative, OneOf, Positive
from seqbench.models.cells.maps.neumann import AUTHORS, EXACT, NEUMANN, NeumannCayley
from seqbench.models.cells.time_loop.modrelu_gru import modrelu_gru
from seqbench.models.cells.time_loop.recurrence import project


class NCGRU(Backbone):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, hidden_size). State: h (B, hidden_size).

    - `n_negative` is the number of -1 on D's diagonal (the paper's rho), at its end.
    - `reset`: before or after the product with W.
    - `orthogonal_reset`: r's recurrent matrix is orthogonal, too, by an A of its own and the same D. (The authors' code
      gives both A the gradient of this one and both W the inverse of the other; ours each its own.)
    - `inverse`: exact, neumann or authors; in the latter the step of A is taken to be -`authors_lr` times its gradient.
    - `neumann_order`, `refresh_every`: of the series, and steps from one computed inverse to the next.
    - `init`: he (G He-uniform with zero g, U He-normal, b in U(-0.1, 0.1); with `orthogonal_reset` g is N(0, 1)) or
      uniform (G, G_h and g in +-1/sqrt(H), U in +-0.01, b zero), the authors' for either form.
    - `recurrent_lr_scale` times the others' is the learning rate of A, the parameter group "recurrent"; G_h is "gates".

    Gates have one bias, where the authors' PyTorch code has two. The recurrence runs in float32 under autocast, as
    scoRNN's does. The diagnostic "orthogonality" is || W^T W - I ||, of evaluations: the larger one of two W.
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: Count,
        n_negative: int,
        reset: Annotated[str, OneOf("before", "after")] = "before",
        orthogonal_reset: bool = False,
        inverse: Annotated[str, OneOf(EXACT, NEUMANN, AUTHORS)] = NEUMANN,
        neumann_order: Count = 2,
        refresh_every: Count = 49,
        authors_lr: Positive | None = None,
        init: Annotated[str, OneOf("he", "uniform")] = "he",
        recurrent_lr_scale: NotNegative = 1.0,
    ):
        super().__init__()
        if not 0 <= n_negative <= hidden_size:
            raise ValueError(f"n_negative is between 0 and hidden_size={hidden_size}, not {n_negative}")
        if (inverse == AUTHORS) != (authors_lr is not None):
            raise ValueError("authors_lr is given where inverse=authors, and nowhere else")
        self.d_output, self.reset, self.recurrent_lr_scale = hidden_size, reset, recurrent_lr_scale

        def orthogonal() -> NeumannCayley:
            return NeumannCayley(hidden_size, n_negative, inverse, neumann_order, refresh_every, authors_lr)

        self.candidate_map = orthogonal()
        self.reset_map = orthogonal() if orthogonal_reset else None
        n_gates = hidden_size if orthogonal_reset else 2 * hidden_size
        self.weight_input = nn.Parameter(torch.empty(d_input, 3 * hidden_size))  # of r, u and c
        self.weight_gates = nn.Parameter(torch.empty(hidden_size, n_gates))  # of r and u, or of u
        self.bias_gates = nn.Parameter(torch.zeros(2 * hidden_size))
        self.bias = nn.Parameter(torch.zeros(hidden_size))
        self._initialise(init)
        self._defect: float | None = None

    @torch.no_grad()
    def _initialise(self, init: str) -> None:
        d_input, n = len(self.weight_input), self.d_output
        of_gates_DG, of_candidate_DH = self.weight_input.split([2 * n, n], 1)
        if init == "uniform":
            bound = 1 / math.sqrt(n)
            for weight in (of_gates_DG, self.weight_gates, self.bias_gates):
                weight.uniform_(-bound, bound)
            of_candidate_DH.uniform_(-0.01, 0.01)
            return
        joint = self.reset_map is None  # then one matrix reads [x h]
        for weight, fan_in in ((of_gates_DG, d_input), (self.weight_gates, n)):
            bound = math.sqrt(6 / (d_input + n if joint else fan_in))
            weight.uniform_(-bound, bound)
        if not joint:
            self.bias_gates.normal_()
        of_candidate_DH.normal_(0, math.sqrt(2 / d_input))
        self.bias.uniform_(-0.1, 0.1)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        with torch.autocast(x.device.type, enabled=False):
            w_HH = self.candidate_map.matrix()
            dtype, n = w_HH.dtype, self.d_output
            gates_HG = self.weight_gates.to(dtype)
            if self.reset_map is not None:
                gates_HG = torch.cat([self.reset_map.matrix(), gates_HG], 1)
            self._note_defect()
            x_TB = x.transpose(0, 1)
            x_TB = x_TB.to(dtype) if x.is_floating_point() else x_TB
            of_gates_DG, of_candidate_DH = self.weight_input.to(dtype).split([2 * n, n], 1)
            g_TBG = project(x_TB, of_gates_DG) + self.bias_gates.to(dtype)
            before_BH = w_HH.new_zeros(len(x), n) if state is None else state.to(dtype)
            h_TBH = modrelu_gru(
                g_TBG,
                project(x_TB, of_candidate_DH),
                self.bias.to(dtype),
                gates_HG,
                w_HH,
                before_BH,
                self.reset == "before",
            )
            last_BH = h_TBH[-1] if len(h_TBH) else before_BH
            return h_TBH.transpose(0, 1).to(self.weight_input.dtype), last_BH, None

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        skew = [one.entries for one in self._maps()]
        return {
            "recurrent": ParameterGroup(skew, self.recurrent_lr_scale, recurrent=True),
            "gates": ParameterGroup([self.weight_gates], recurrent=True),
        }

    def after_step(self, peers: Peers) -> None:
        for one in self._maps():
            one.after_step()

    def diagnostics(self) -> dict[str, tuple[float, float]]:
        defect, self._defect = self._defect, None
        return {"orthogonality": (0.0, 0.0) if defect is None else (defect, 1.0)}

    def _note_defect(self) -> None:
        """Once an evaluation: eigenvalues are too dear for every step."""
        if not self.training and self._defect is None:
            self._defect = max(one.defect() for one in self._maps())

    def _maps(self) -> list[NeumannCayley]:
        return [self.candidate_map] if self.reset_map is None else [self.candidate_map, self.reset_map]
