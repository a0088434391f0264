"""The contract of a learning-rate schedule."""

from __future__ import annotations

from collections.abc import Sequence


class Schedule:
    """`schedule(step, history)` is the factor on every group's learning rate at a step: a pure function, so nothing
    needs saving. `step` counts from 0; `history` holds the selection metric on valid at each evaluation so far (lower
    is better). A constructor that takes `max_steps` or `steps_per_epoch`, which need not be whole, is given them."""

    def __call__(self, step: int, history: Sequence[float]) -> float:
        raise NotImplementedError
