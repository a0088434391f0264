"""Learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Sequence

from seqbench.contracts.ranges import Count, NotNegative, NotNegativeInt, Positive
from seqbench.contracts.schedule import Schedule


class Constant(Schedule):
    """1 throughout."""

    def __call__(self, step: int, history: Sequence[float]) -> float:
        return 1.0


class EpochDecay(Schedule):
    """1 for `flat_epochs` epochs, then divided by `divide_by` at the start of each further epoch (Zaremba et al. 2014,
    with the TF tutorial's count: exactly `flat_epochs` epochs at the full rate)."""

    def __init__(self, steps_per_epoch: float, flat_epochs: NotNegativeInt, divide_by: Positive):
        self.steps_per_epoch, self.flat_epochs, self.divide_by = steps_per_epoch, flat_epochs, divide_by

    def __call__(self, step: int, history: Sequence[float]) -> float:
        return self.divide_by ** -max(math.floor(step / self.steps_per_epoch) + 1 - self.flat_epochs, 0)


class Cosine(Schedule):
    """Linear from 0 over `warmup_steps`, then half a cosine from 1 to `final` at `max_steps`."""

    def __init__(self, max_steps: int, warmup_steps: NotNegativeInt, final: NotNegative):
        self.max_steps, self.warmup_steps, self.final = max_steps, warmup_steps, final

    def __call__(self, step: int, history: Sequence[float]) -> float:
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(self.max_steps - self.warmup_steps, 1)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


class InverseSqrt(Schedule):
    """Linear over `warmup_steps` to 1 (not `linear`: 1 all that time), then sqrt(warmup_steps / t), t = step + 1."""

    def __init__(self, warmup_steps: Count, linear: bool = True):
        self.warmup_steps, self.linear = warmup_steps, linear

    def __call__(self, step: int, history: Sequence[float]) -> float:
        rising = (step + 1) / self.warmup_steps if self.linear else 1.0
        return min(rising, math.sqrt(self.warmup_steps / (step + 1)))


class Plateau(Schedule):
    """Divided by `divide_by` each time `patience` evaluations in a row have not beaten the best before them."""

    def __init__(self, divide_by: Positive, patience: Count):
        self.divide_by, self.patience = divide_by, patience

    def __call__(self, step: int, history: Sequence[float]) -> float:
        factor, best, waited = 1.0, math.inf, 0
        for value in history:
            if value < best:
                best, waited = value, 0
                continue
            waited += 1
            if waited == self.patience:
                factor, waited = factor / self.divide_by, 0
        return factor
