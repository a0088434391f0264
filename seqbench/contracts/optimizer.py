"""What an optimizer may know of a step, and what it may say of itself.

Any `torch.optim.Optimizer` will do. A constructor that takes `network` is given the learner, one that takes `peers` the
other processes, one that takes `sampling` how training rows are drawn, where the task says it. The class attribute
`reduces_gradients = True` says that it sums gradients over the processes itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class StepFacts:
    """`step` counts from 0; `history` holds the selection metric on valid at each evaluation so far (lower is better);
    `count` is the number of scored targets of the step, over all processes; a gradient is `loss_scale` times that of
    the summed loss until it is unscaled; `seed` is the same in all processes, for noise that replicas must share."""

    step: int
    history: Sequence[float]
    count: int
    loss_scale: float
    seed: int


@runtime_checkable
class Informed(Protocol):
    """An optimizer that is told of each step before its gradients are computed."""

    def begin(self, facts: StepFacts) -> None: ...


@runtime_checkable
class Perturbing(Protocol):
    """An optimizer whose gradients are taken at other weights than it trains: `begin` moves them there."""

    def restore(self) -> None:
        """Put the weights back, once the gradients are there; a step may then be left out."""
        ...


@runtime_checkable
class Averaging(Protocol):
    """An optimizer whose weights are evaluated with other values than it trains."""

    def averaged(self) -> contextlib.AbstractContextManager[bool]:
        """The evaluated weights for as long as the context lasts; the value is whether they differ."""
        ...


@runtime_checkable
class Spending(Protocol):
    """An optimizer whose steps use something up, such as privacy."""

    def spent(self) -> dict[str, float]:
        """What the steps so far have cost, by name: metrics of the record."""
        ...
