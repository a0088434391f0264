"""RMSprop with momentum, a bound on the velocity, and noise on the weights (Chung et al. 2014, arXiv 1412.3555).

As the authors' code, librnn, has it:

    g_t = gradient at w_{t-1} + noise N(0, 1)          weight noise (Graves 2011): new in each step, gone after it
    s_t = decay s_{t-1} + (1 - decay) g_t^2,           s_0 = 0
    v_t = momentum v_{t-1} - lr g_t / max(sqrt(s_t), floor)
    v_t = v_t min(1, clip / |v_t|)                     the norm is that of all weights together
    w_t = w_{t-1} + v_t
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor

from seqbench.contracts.optimizer import StepFacts
from seqbench.contracts.ranges import Between, NotNegative, Positive

OWN_STREAM = 4094  # added to a step's seed, which is also that of dropout in process 0; steps' seeds are 4,096 apart


class NoisyRMSprop(torch.optim.Optimizer):
    """The update above, with librnn's defaults. Its gradients are of a sequence's sum over time; where the loss is a
    mean over targets, `floor` is to be smaller by as much.

    - `noise`: standard deviation, of every weight alike; 0: none.
    - `clip`: largest norm of the velocity; null: none.
    """

    def __init__(
        self,
        params,
        lr: NotNegative = 1e-3,
        decay: Annotated[float, Between(0, 1, without_high=True)] = 0.95,
        momentum: Annotated[float, Between(0, 1, without_high=True)] = 0.9,
        floor: Positive = 0.01,
        noise: NotNegative = 0.0,
        clip: Positive | None = 1.0,
    ):
        super().__init__(params, {"lr": lr, "decay": decay, "momentum": momentum, "floor": floor})
        self.noise, self.clip = noise, clip
        self._generator = torch.Generator()
        self._weights_without_noise: list[Tensor] = []

    @torch.no_grad()
    def begin(self, facts: StepFacts) -> None:
        if not self.noise:
            return
        self._generator.manual_seed(facts.seed + OWN_STREAM)
        self._weights_without_noise = [weight.clone() for weight in self._weights()]
        for weight in self._weights():  # drawn on the CPU: the same on every device
            noise = torch.randn(weight.shape, generator=self._generator, dtype=weight.dtype)
            weight.add_(noise.to(weight.device), alpha=self.noise)

    @torch.no_grad()
    def restore(self) -> None:
        if self._weights_without_noise:
            for weight, value in zip(self._weights(), self._weights_without_noise, strict=True):
                weight.copy_(value)
            self._weights_without_noise = []

    @torch.no_grad()
    def step(self, closure=None) -> None:
        moved = [
            (weight, group) for group in self.param_groups for weight in group["params"] if weight.grad is not None
        ]
        velocities = [self._velocity(weight, group) for weight, group in moved]
        factor = 1.0
        if self.clip is not None and velocities:
            norm = torch.stack([velocity.norm() for velocity in velocities]).norm()
            factor = (self.clip / norm.clamp_min(1e-30)).clamp_max(1)
        for (weight, _), velocity in zip(moved, velocities, strict=True):
            weight.add_(velocity.mul_(factor))

    def _weights(self) -> list[Tensor]:
        return [weight for group in self.param_groups for weight in group["params"]]

    def _velocity(self, weight: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[weight]
        if not state:
            state["square"], state["velocity"] = torch.zeros_like(weight), torch.zeros_like(weight)
        state["square"].mul_(group["decay"]).addcmul_(weight.grad, weight.grad, value=1 - group["decay"])
        scaled = weight.grad / state["square"].sqrt().clamp_min(group["floor"])
        return state["velocity"].mul_(group["momentum"]).sub_(scaled, alpha=group["lr"])
