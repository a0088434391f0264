"""The contract of a schedule as checks. They raise `AssertionError`."""

from __future__ import annotations

import math
from collections.abc import Callable

from seqbench.contracts.schedule import Schedule

HISTORIES = ([], [3.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [2.0] * 12)


def check_schedule(schedule: Schedule, max_steps: int) -> None:
    """A finite factor, never negative, at every step from the first to the last, whatever the history; a pure function,
    so the same again in any order."""
    steps = [0, 1, max_steps // 2, max_steps - 1]
    factors = {(step, n): schedule(step, history) for step in steps for n, history in enumerate(HISTORIES)}
    for (step, _), factor in factors.items():
        assert math.isfinite(factor) and factor >= 0, f"the factor at step {step} is {factor}"
    again = {(step, n): schedule(step, HISTORIES[n]) for step, n in reversed(list(factors))}
    assert again == factors, "asked again, the schedule gives other factors"


def checks(make: Callable[[], Schedule], max_steps: int) -> dict[str, Callable[[], None]]:
    """All of the contract by name."""
    return {"factors": lambda: check_schedule(make(), max_steps)}
