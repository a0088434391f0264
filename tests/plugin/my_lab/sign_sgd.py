"""Steps along the gradient's sign (signSGD: Bernstein et al. 2018, arXiv 1802.04434), with momentum."""

from __future__ import annotations

import torch


class SignSGD(torch.optim.Optimizer):
    """m <- momentum m + g;  w <- w - lr sign(m)."""

    def __init__(self, params, lr: float, momentum: float):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["m"] = torch.zeros_like(weight)
                state["m"].mul_(group["momentum"]).add_(weight.grad)
                weight.sub_(state["m"].sign(), alpha=group["lr"])
