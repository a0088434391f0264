"""uRNN: the recurrent matrix is a product of simple unitary ones (Arjovsky et al. 2016, arXiv 1511.06464).

Arjovsky, Shah, Bengio, ICML 2016: equations as in the paper.

    h_t = modReLU(W h_{t-1} + V x_t),   W = D3 R2 F^-1 D2 P R1 F D1,   modReLU(z) = z / |z| max(|z| + b, 0)

The D are diag(e^{i theta}), the R reflections I - 2 v v^H / |v|^2, F is the Fourier transform and P a fixed random
permutation. The state is complex; what comes out is (Re h, Im h). With n units, m inputs and o outputs there are
2 n m + 2 n o + 10 n + o parameters, the first state among them.

Shapes: N units, T time, H = 2 N numbers of a state.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

from seqbench.contracts.backbone import ParameterGroup
from seqbench.contracts.ranges import Backend, Count, OneOf
from seqbench.models.cells.maps.complex_pairs import to_complex
from seqbench.models.cells.maps.fourier import Fourier
from seqbench.models.cells.time_loop.native import library
from seqbench.models.cells.time_loop.recurrence import Dense, Map
from seqbench.models.cells.time_loop.trained_start import TrainedStart, uniform

TRANSFORMS_FROM = 64  # units; with fewer, a product with W takes less time (bench/suites/recurrent/unitary.py)


class URNN(TrainedStart):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, 2 N). State: h, of the same width; a trained one begins a sequence.

    - `hidden_size` is N.
    - `init`: code, as in the authors' script, draws v in +-sqrt(6 / (2 + 2 N)) and b in +-0.01; paper draws v in +-1,
      and b is zero. Both draw theta in +-pi, the first state in +-sqrt(3 / (2 N)) and V in +-sqrt(6 / (d_input + 2 N)).
    - `conjugated`: reflections by the conjugate of v, as the authors' script has them; weights then mean what they mean
      there.
    - `form`: fft, O(N log N) a step; dense, a product with all of W, made once a forward pass; auto, the faster one. It
      does not affect results, and neither does `backend` (cells/time_loop/recurrence.py). The compiled fft takes an N
      that is a power of two.

    theta and v are the parameter group "recurrent".
    """

    machine_settings = ("form", "backend")

    def __init__(
        self,
        d_input: int,
        hidden_size: Count,
        init: Annotated[str, OneOf("code", "paper")] = "code",
        conjugated: bool = False,
        form: Annotated[str, OneOf("auto", "fft", "dense")] = "auto",
        backend: Backend = "auto",
    ):
        super().__init__("complex_modrelu", backend)
        n = hidden_size
        self.d_output, self.conjugated, self.form = 2 * n, conjugated, form
        by_paper = init == "paper"
        self.weight_input = uniform(math.sqrt(6 / (d_input + 2 * n)), d_input, 2 * n)
        self.theta = uniform(math.pi, 3, n)
        self.reflections = uniform(1.0 if by_paper else math.sqrt(6 / (2 + 2 * n)), 2, 2 * n)  # v1, v2 as (Re, Im)
        self.bias = uniform(0.0 if by_paper else 0.01, n)
        self.start = uniform(math.sqrt(3 / (2 * n)), 2 * n)
        self.permutation: Tensor
        self.register_buffer("permutation", torch.randperm(n))

    def linear_map(self) -> Map:
        v_2N = to_complex(self.reflections.to(torch.promote_types(self.reflections.dtype, torch.float32)))
        fourier = Fourier(self.theta, v_2N.conj() if self.conjugated else v_2N, self.permutation)
        runs_compiled = fourier.is_compiled and self.backend != "reference" and self.theta.device.type == "cpu"
        pays = runs_compiled and library() is not None and len(self.bias) >= TRANSFORMS_FROM
        return fourier if self.form == "fft" or (self.form == "auto" and pays) else Dense(fourier.dense())

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        return {"recurrent": ParameterGroup([self.theta, self.reflections], recurrent=True)}
