"""KRU: the recurrent matrix is a Kronecker product of small unitary factors (Jose et al. 2018, arXiv 1705.10142).

Jose, Cisse, Fleuret, ICML 2018. No official model code exists; equations as in the paper.

    h_t = f(W h_{t-1} + U x_t),   W = W_0 (x) ... (x) W_{F-1}

With 2x2 complex factors, 8 log2 N reals are a recurrent matrix of N x N. The state and U are complex then, and what
comes out is (Re h, Im h). The soft penalty weight * sum_f ||W_f^H W_f - I||^2 keeps the factors near unitary.

Shapes: N units, F factors of sizes P_f x P_f.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor, nn

from seqbench.contracts.backbone import ParameterGroup
from seqbench.contracts.ranges import Backend, Count, NotNegative, OneOf
from seqbench.models.cells.maps.kronecker import Kronecker, checked_sizes, random_unitary, unitary_penalty
from seqbench.models.cells.time_loop.recurrent import Recurrent


class KRU(Recurrent):
    """x (B, T, d_input) or ids (B, T) -> y (B, T, 2 N), or (B, T, N) for real factors. State: h, of the same width.

    - `factor_sizes` are P_0, P_1, ..., the first varying slowest; their product is N, `hidden_size`. None: all of them
      2, as in the paper.
    - `complex`: complex factors, or real ones.
    - `nonlinearity` is modrelu (bias trained, one for each unit) or tanh (of real and imaginary parts apart).
    - `unitary_weight` is the penalty's weight.
    - `trainable_recurrence`: if false, the factors stay as they were drawn (the paper's copy task).
    - `input_init_range` bounds U's uniform initialisation.
    - `backend` does not affect results (cells/time_loop/recurrence.py).

    The factors are the parameter group "recurrent".
    """

    def __init__(
        self,
        d_input: int,
        hidden_size: Count,
        factor_sizes: Sequence[Count] | None = None,
        complex: bool = True,
        nonlinearity: Annotated[str, OneOf("modrelu", "tanh")] = "modrelu",
        unitary_weight: NotNegative = 0.0,
        trainable_recurrence: bool = True,
        input_init_range: NotNegative = 0.01,
        backend: Backend = "auto",
    ):
        super().__init__("complex_modrelu" if complex and nonlinearity == "modrelu" else nonlinearity, backend)
        sizes = checked_sizes(hidden_size, factor_sizes)
        self.complex, self.unitary_weight = complex, unitary_weight
        self.d_output = hidden_size * (2 if complex else 1)
        factors = [random_unitary(size, complex) for size in sizes]
        self.factors = nn.ParameterList(  # complex ones as pairs of reals: (P_f, P_f, 2)
            nn.Parameter(torch.view_as_real(factor) if complex else factor, requires_grad=trainable_recurrence)
            for factor in factors
        )
        self.weight_input = nn.Parameter(
            torch.empty(d_input, self.d_output).uniform_(-input_init_range, input_init_range)
        )
        self.bias = nn.Parameter(torch.zeros(hidden_size if nonlinearity == "modrelu" else self.d_output))

    def linear_map(self) -> Kronecker:
        return Kronecker(self._matrices())

    def penalty(self) -> Tensor | None:
        if self.unitary_weight == 0 or not self.factors[0].requires_grad:
            return None
        return self.unitary_weight * unitary_penalty(self._matrices())

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        return {"recurrent": ParameterGroup(list(self.factors), recurrent=True)}

    def _matrices(self) -> list[Tensor]:
        factors = [factor.to(torch.promote_types(factor.dtype, torch.float32)) for factor in self.factors]
        return [torch.view_as_complex(factor) for factor in factors] if self.complex else factors
