"""NT-ASGD: SGD that averages its iterates once valid stops falling (Merity, Keskar, Socher 2018, arXiv 1708.02182).

Algorithm 1 of the paper (ICLR 2018); the trigger as in the authors' code.

    x_t = x_{t-1} - lr (g_t + weight_decay x_{t-1})        average_K = (x_{s+1} + ... + x_K) / (K - s)

s is the step of the first evaluation that is worse than the best of those more than `nonmonotone_interval` before it.
Training goes on from x; what is evaluated, and kept as the best, is the average.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

import torch

from seqbench.contracts.optimizer import StepFacts
from seqbench.contracts.ranges import NotNegative, NotNegativeInt


class NTASGD(torch.optim.Optimizer):
    """`begin` each step with its facts, and evaluate within `averaged()`. `nonmonotone_interval` is the paper's n; None
    averages from the first step on, as the paper's fine-tuning does."""

    def __init__(
        self,
        params,
        lr: NotNegative = 30.0,
        weight_decay: NotNegative = 0.0,
        nonmonotone_interval: NotNegativeInt | None = 5,
    ):
        settings = {"lr": lr, "weight_decay": weight_decay, "nonmonotone_interval": nonmonotone_interval}
        super().__init__(params, {**settings, "averaging": False})

    def begin(self, facts: StepFacts) -> None:
        """Average from now on if the selection metric at the evaluations so far says so."""
        for group in self.param_groups:
            interval = group["nonmonotone_interval"]
            group["averaging"] = interval is None or triggered(facts.history, interval)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            grads = [p.grad for p in params]
            if params and group["weight_decay"]:
                grads = torch._foreach_add(grads, params, alpha=group["weight_decay"])
            if params:
                torch._foreach_add_(params, grads, alpha=-group["lr"])
            if group["averaging"]:
                self._average(group["params"])
        return loss

    @contextlib.contextmanager
    def averaged(self) -> Iterator[bool]:
        """The averages in the weights' place for as long as the context lasts; the value is whether there are any."""
        held = [p for group in self.param_groups for p in group["params"] if p in self.state]
        raw = [p.detach().clone() for p in held]
        _fill(held, [self.state[p]["average"] for p in held])
        try:
            yield bool(held)
        finally:
            _fill(held, raw)

    def _average(self, params: list[torch.Tensor]) -> None:
        for p in params:
            if p not in self.state:
                self.state[p] = {"average": torch.zeros_like(p), "n_averaged": 0}
            state = self.state[p]
            state["n_averaged"] += 1
            state["average"].lerp_(p, 1 / state["n_averaged"])


def triggered(history: Sequence[float], interval: int) -> bool:
    """Whether any evaluation was worse than the best of those more than `interval` evaluations before it."""
    best = math.inf
    for old, value in zip(history, history[interval + 1 :], strict=False):
        best = min(best, old)
        if value > best:
            return True
    return False


@torch.no_grad()
def _fill(params: list[torch.Tensor], values: list[torch.Tensor]) -> None:
    for p, value in zip(params, values, strict=True):
        p.copy_(value)
