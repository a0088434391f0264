"""Full-capacity uRNN: the recurrent matrix is any unitary one (Wisdom et al. 2016, arXiv 1611.00035).

Wisdom, Powers, Hershey, Le Roux, Atlas, NIPS 2016: equations as in the paper, initialisation as in the authors' code.

    h_t = modReLU(W h_{t-1} + V x_t),   W^H W = I,   modReLU(z) = z / |z| max(|z| + b, 0)

W is trained as a matrix, and stays unitary only under an optimizer that keeps it so: `optimizer=stiefel` for its group,

    seqbench train model=full_urnn '+optimizer.groups.recurrent={_target_: seqbench.optim.stiefel.Stiefel, lr: 1e-3}'

The state is complex; what comes out is (Re h, Im h). With n units, m inputs and o outputs there are
2 n^2 + 2 n m + 2 n o + 3 n + o numbers, the first state among them; papers count n^2 for W, whose entries are not free.

Shapes: N units, T time.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from seqbench.contracts.backbone import ParameterGroup
from seqbench.contracts.ranges import Backend, Count
from seqbench.models.cells.maps.complex_pairs import real_matrix
from seqbench.models.cells.maps.kronecker import random_unitary
from seqbench.models.cells.time_loop.recurrence import Dense, Map
from seqbench.models.cells.time_loop.trained_start import TrainedStart, uniform


class FullURNN(TrainedStart):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, 2 N). State: h, of the same width; a trained one begins a sequence.

    - `hidden_size` is N.
    - `backend` does not affect results (cells/time_loop/recurrence.py).

    W starts uniformly distributed over the unitary matrices, V in +-sqrt(6 / (d_input + 2 N)), b in +-0.01, the first
    state in +-sqrt(3 / (2 N)). W is the parameter group "recurrent". The diagnostic "orthogonality" is the largest
    entry of | W^H W - I | in an evaluation: it shows whether the optimizer has kept W unitary.
    """

    def __init__(self, d_input: int, hidden_size: Count, backend: Backend = "auto"):
        super().__init__("complex_modrelu", backend)
        n = hidden_size
        self.d_output = 2 * n
        self.weight_input = uniform(math.sqrt(6 / (d_input + 2 * n)), d_input, 2 * n)
        self.weight = nn.Parameter(torch.view_as_real(random_unitary(n, True)))  # (N, N, 2): real and imaginary parts
        self.bias = uniform(0.01, n)
        self.start = uniform(math.sqrt(3 / (2 * n)), 2 * n)
        self._defect: float | None = None

    def linear_map(self) -> Map:
        weight = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
        w_NN = torch.view_as_complex(weight)
        if not self.training and self._defect is None:
            with torch.no_grad():
                identity_NN = torch.eye(len(w_NN), dtype=w_NN.dtype, device=w_NN.device)
                self._defect = float((w_NN.mH @ w_NN - identity_NN).abs().max())
        return Dense(real_matrix(w_NN.T))

    def diagnostics(self) -> dict[str, tuple[float, float]]:
        defect, self._defect = self._defect, None
        return {"orthogonality": (0.0, 0.0) if defect is None else (defect, 1.0)}

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        return {"recurrent": ParameterGroup([self.weight], recurrent=True)}
