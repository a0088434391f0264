"""Lion: steps of one size, in the direction of a momentum's sign (Chen et al. 2023, arXiv 2302.06675, algorithm 2).

c_t = beta1 m_{t-1} + (1 - beta1) g_t
x_t = x_{t-1} - lr (sign(c_t) + weight_decay x_{t-1})
m_t = beta2 m_{t-1} + (1 - beta2) g_t,          m_0 = 0
"""

from __future__ import annotations

from typing import Annotated

import torch

from seqbench.contracts.ranges import Between, NotNegative

Beta = Annotated[float, Between(0, 1, without_high=True)]


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of the paper, whose `lr` is a third to a tenth of Adam's, and `weight_decay` as many times larger.

    State: `momentum`, in the shape and type of the weight.
    """

    def __init__(
        self, params, lr: NotNegative = 1e-4, betas: tuple[Beta, Beta] = (0.9, 0.99), weight_decay: NotNegative = 0.0
    ):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [parameter for parameter in group["params"] if parameter.grad is not None]
            if params:
                self._update(params, group)
        return loss

    def _update(self, params: list[torch.Tensor], group: dict) -> None:
        beta1, beta2 = group["betas"]
        grads = [parameter.grad for parameter in params if parameter.grad is not None]
        for parameter in params:
            if "momentum" not in self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        momenta = [self.state[parameter]["momentum"] for parameter in params]
        signs = [direction.sign_() for direction in torch._foreach_lerp(momenta, grads, 1 - beta1)]
        if group["weight_decay"]:
            torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(params, signs, alpha=-group["lr"])
        torch._foreach_lerp_(momenta, grads, 1 - beta2)
