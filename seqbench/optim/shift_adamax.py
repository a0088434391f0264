"""Shift-based AdaMax: its divisions are shifts (Courbariaux et al. 2016, arXiv 1602.02830).

As the authors' Torch code has it, with AP2(z) the power of two that is nearest to z in the logarithm:

    m_t = beta1 m_{t-1} + (1 - beta1) g_t
    v_t = AP2(max(beta2 v_{t-1}, |g_t|)) + 2^-27
    w_t = w_{t-1} - AP2(lr / (1 - beta1^t)) m_t / v_t

v is kept as it is rounded. A factor of a layer's own (model=quantized_mlp has one) is part of lr here, and so is
rounded with it, where the code multiplies by it afterwards.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch

from seqbench.contracts.ranges import Between, NotNegative

_Rate = Annotated[float, Between(0, 1, without_high=True)]


class ShiftAdaMax(torch.optim.Optimizer):
    """The update above. `lr` is a power of two in the paper."""

    def __init__(self, params, lr: NotNegative = 2**-10, beta1: _Rate = 0.9, beta2: _Rate = 0.999):
        super().__init__(params, {"lr": lr, "beta1": beta1, "beta2": beta2})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["step"] = 0
                    state["mean"], state["size"] = torch.zeros_like(weight), torch.zeros_like(weight)
                state["step"] += 1
                mean, size = state["mean"], state["size"]
                mean.lerp_(weight.grad, 1 - group["beta1"])
                torch.maximum(size.mul_(group["beta2"]), weight.grad.abs(), out=size)
                size.copy_(power_of_two(size)).add_(2**-27)
                rate = group["lr"] / (1 - group["beta1"] ** state["step"])
                if rate > 0:
                    weight.addcdiv_(mean, size, value=-(2.0 ** round(math.log2(rate))))


def power_of_two(x: torch.Tensor) -> torch.Tensor:
    """AP2 of what is not negative; 0 of 0."""
    mantissa, _ = torch.frexp(x)  # in [1/2, 1): x / mantissa is a power of two, exactly
    above = torch.where(x > 0, x / torch.where(x > 0, mantissa, 1), 0)
    return torch.where(mantissa < math.sqrt(0.5), above / 2, above)
