"""ARMA cell: an ARMA model's forecast as a recurrent unit (Schiele, Berninger, Rügamer 2022, arXiv 2208.14919).

A series y with the innovations e follows ARMA(p, q) if y_t = a + sum_i beta_i y_{t-i} + sum_j gamma_j e_{t-j} + e_t.
Its forecast of y_t, with e = y - v and v the forecasts before, is that of a unit which reads its own outputs:

    v_t = f(sum_{i=1..p} K_i y_{t-i} + sum_{j=1..q} R_j v_{t-j} + b)
    K_i = beta_i + gamma_i (no gamma_i beyond q),    R_j = -gamma_j,    b = a        where f is linear

For a lag j > p, which K lacks, R_j multiplies v_{t-j} - y_{t-j}, so that R_j = -gamma_j there, too. Before the sequence
y and v are zero.

With k series a coefficient is a k x k matrix (VARMA). A layer has units side by side, each with its own K and R, which
do not read each other. Above a layer the next one takes its outputs for the series, with lags of its own.

Shapes: B batch, T time, K series, U units, P p lags of K series, Q q lags of K series, D = K U features, unit by unit.
"""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqbench.contracts.backbone import Backbone, ParameterGroup
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count, NotNegativeInt, OneOf, Positive

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}
Coefficients = dict[str, Tensor]


class ARMA(Backbone):
    """x (B, T, d_input) or ids (B, T) -> forecasts of the next x (B, T, D). State: per layer the last inputs
    (B, max(p, q) - 1, K) and the last outputs (B, q, U, K).

    - `p` and `q` are the numbers of lags of the series and of the forecasts, in each layer.
    - `linear_units` have f linear; one of them alone, below head=direct, is an ARMA model. With `units` of `activation`
      beside it and a linear head it is the paper's ShallowARMA; its DeepARMA is two layers without a linear unit.
    - K and R start in U(-`init_range`, `init_range`), b at zero. The R are the parameter group "recurrent".

    D is `d_input` times the units of all layers.
    """

    def __init__(
        self,
        d_input: int,
        p: NotNegativeInt = 1,
        q: NotNegativeInt = 1,
        linear_units: NotNegativeInt = 1,
        units: NotNegativeInt = 0,
        activation: Annotated[str, OneOf(*ACTIVATIONS)] = "relu",
        n_layers: Count = 1,
        init_range: Positive = 0.05,
    ):
        super().__init__()
        if p + q == 0:
            raise ValueError("p and q are not both 0: the forecast would read nothing")
        if linear_units + units == 0:
            raise ValueError("linear_units and units are not both 0")
        self.d_input, n_units = d_input, linear_units + units
        self.layers = nn.ModuleList(
            ARMALayer(d_input * n_units**index, p, q, linear_units, units, activation, init_range)
            for index in range(n_layers)
        )
        self.d_output = d_input * n_units**n_layers

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State, None]:
        if not x.is_floating_point():
            x = F.one_hot(x, self.d_input).to(next(self.parameters()).dtype)
        ends = []
        for index, layer in enumerate(self.layers):
            x, end = layer(x, None if state is None else state[index])
            ends.append(end)
        return x, tuple(ends), None

    def parameter_groups(self) -> dict[str, ParameterGroup]:
        recurrent = [layer.R for layer in self.layers if isinstance(layer, ARMALayer)]
        return {"recurrent": ParameterGroup([weight for weight in recurrent if weight.numel()], recurrent=True)}

    def coefficients(self) -> Coefficients:
        """The ARMA model that a linear unit computes: "alpha" (K,), "beta" (p, K, K) and "gamma" (q, K, K), each matrix
        to be multiplied by a column. Raises `ValueError` if the cell has several layers or units, or a nonlinear one.
        """
        layer = self.layers[0]
        assert isinstance(layer, ARMALayer)
        if len(self.layers) > 1 or layer.n_linear != 1 or layer.n_units != 1:
            raise ValueError("an ARMA model is one layer of one linear unit")
        K_pKK, R_qKK = (weight.detach()[:, 0].transpose(1, 2) for weight in (layer.K, layer.R))
        gamma_qKK, beta_pKK = -R_qKK, K_pKK.clone()
        n_both = min(len(beta_pKK), len(gamma_qKK))
        beta_pKK[:n_both] -= gamma_qKK[:n_both]
        return {"alpha": layer.b.detach()[0].clone(), "beta": beta_pKK, "gamma": gamma_qKK}

    @torch.no_grad()
    def set_coefficients(self, beta_pKK: Tensor, gamma_qKK: Tensor, alpha_K: Tensor | None = None) -> None:
        """Make the one linear unit the ARMA model with these coefficients: the inverse of `coefficients`."""
        self.coefficients()  # refuses what is no ARMA model
        layer = self.layers[0]
        assert isinstance(layer, ARMALayer)
        K_pKK, n_both = beta_pKK.clone(), min(len(beta_pKK), len(gamma_qKK))
        K_pKK[:n_both] += gamma_qKK[:n_both]
        layer.K[:, 0] = K_pKK.transpose(1, 2)
        layer.R[:, 0] = -gamma_qKK.transpose(1, 2)
        layer.b[0] = 0.0 if alpha_K is None else alpha_K


class ARMALayer(nn.Module):
    """x (B, T, K) -> (B, T, D), with the state of one layer. Parameters: K (p, U, K, K) and R (q, U, K, K), to be
    multiplied by a row, and b (U, K); the linear units come first."""

    def __init__(
        self, n_series: int, p: int, q: int, linear_units: int, units: int, activation: str, init_range: float
    ):
        super().__init__()
        self.n_linear, self.n_units = linear_units, linear_units + units
        self.activation = ACTIVATIONS[activation]
        shape = (self.n_units, n_series, n_series)
        self.K = nn.Parameter(torch.empty(p, *shape).uniform_(-init_range, init_range))
        self.R = nn.Parameter(torch.empty(q, *shape).uniform_(-init_range, init_range))
        self.b = nn.Parameter(torch.zeros(self.n_units, n_series))

    def forward(self, x_BTK: Tensor, state: State) -> tuple[Tensor, State]:
        (p, q), n_steps = (len(self.K), len(self.R)), x_BTK.shape[1]
        n_lags = max(p, q)
        if state is None:
            before_BNK = x_BTK.new_zeros(len(x_BTK), n_lags - 1, x_BTK.shape[2])
            v_BqUK = x_BTK.new_zeros(len(x_BTK), q, self.n_units, x_BTK.shape[2])
        else:
            before_BNK, v_BqUK = state
        x_BNK = torch.cat([before_BNK, x_BTK], 1)
        weight_NUKK = torch.cat([self.K, -self.R[p:]])  # lags beyond p: R (v - x)
        lagged_BTP = torch.cat([x_BNK[:, n_lags - 1 - lag :][:, :n_steps] for lag in range(n_lags)], -1)
        fixed_BTD = lagged_BTP @ weight_NUKK.permute(0, 2, 1, 3).reshape(lagged_BTP.shape[-1], -1)
        fixed_BTUK = fixed_BTD.unflatten(-1, self.b.shape) + self.b
        if q == 0:
            v_BTUK = self._activated(fixed_BTUK.transpose(-2, -3)).transpose(-2, -3)
            return v_BTUK.flatten(2), (x_BNK[:, n_steps:], v_BqUK)
        R_UQK = self.R.transpose(0, 1).flatten(1, 2)
        # units first, as the product of a batch of matrices has them: one operation a step where q is 1
        history = [*v_BqUK.to(fixed_BTUK.dtype).permute(1, 2, 0, 3).unbind(0)]  # the newest first
        outputs = []
        for fixed_UBK in fixed_BTUK.permute(1, 2, 0, 3).contiguous().unbind(0):
            v_UBQ = history[0] if q == 1 else torch.cat(history, -1)
            v_UBK = self._activated(torch.baddbmm(fixed_UBK, v_UBQ, R_UQK))
            history = [v_UBK, *history[:-1]]
            outputs.append(v_UBK)
        v_BTD = torch.stack(outputs).permute(2, 0, 1, 3).flatten(2)
        return v_BTD, (x_BNK[:, n_steps:], torch.stack(history).permute(2, 0, 1, 3))

    def _activated(self, a_UBK: Tensor) -> Tensor:
        """The activation of the units after the linear ones; units are the last axis but two."""
        if self.n_linear == self.n_units:
            return a_UBK
        linear_UBK, rest_UBK = a_UBK.split([self.n_linear, self.n_units - self.n_linear], -3)
        return torch.cat([linear_UBK, self.activation(rest_UBK)], -3)
