"""Learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Sequence

from seqbench.contracts.ranges import Count, NotNegative, NotNegativeInt, Positive
from seqbench.contracts.schedule import Schedule


class Constant(Schedule):
    """The same learning rate throughout."""

    def __call__(self, step: int, history: Sequence[float]) -> float:
        return 1.0


class EpochDecay(Schedule):
    """Constant for some epochs, then divided once an epoch (Zaremba, Sutskever, Vinyals 2014, arXiv 1409.2329).

    Divided by `divide_by` at the start of each epoch after the first `flat_epochs`, the TF tutorial's count.
    """

    def __init__(self, steps_per_epoch: float, flat_epochs: NotNegativeInt, divide_by: Positive):
        self.steps_per_epoch, self.flat_epochs, self.divide_by = steps_per_epoch, flat_epochs, divide_by

    def __call__(self, step: int, history: Sequence[float]) -> float:
        return self.divide_by ** -max(math.floor(step / self.steps_per_epoch) + 1 - self.flat_epochs, 0)


class Cosine(Schedule):
    """A linear warm-up, then half a cosine down to `final` (Loshchilov and Hutter 2017, arXiv 1608.03983).

    From 0 over `warmup_steps` to 1, then to `final` at `max_steps`.
    """

    def __init__(self, max_steps: int, warmup_steps: NotNegativeInt, final: NotNegative):
        self.max_steps, self.warmup_steps, self.final = max_steps, warmup_steps, final

    def __call__(self, step: int, history: Sequence[float]) -> float:
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(self.max_steps - self.warmup_steps, 1)
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


class InverseSqrt(Schedule):
    """A linear warm-up, then the inverse square root of the step (Vaswani et al. 2017, arXiv 1706.03762).

    Over `warmup_steps` to 1 (1 all that time if not `linear`), then sqrt(warmup_steps / t), t = step + 1.
    """

    def __init__(self, warmup_steps: Count, linear: bool = True):
        self.warmup_steps, self.linear = warmup_steps, linear

    def __call__(self, step: int, history: Sequence[float]) -> float:
        rising = (step + 1) / self.warmup_steps if self.linear else 1.0
        return min(rising, math.sqrt(self.warmup_steps / (step + 1)))


class Plateau(Schedule):
    """Divided whenever valid has not improved for some evaluations.

    By `divide_by`, each time `patience` evaluations in a row have not beaten the best before them.
    """

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
