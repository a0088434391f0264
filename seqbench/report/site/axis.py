"""An axis: where numbers lie on it, and at which of them a tick stands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, even in the numbers or, if `log`, in their logarithms."""

    low: float
    high: float
    log: bool

    def place(self, value: float) -> float:
        """0 at `low`, 1 at `high`."""
        low, high, value = (math.log10(number) if self.log else number for number in (self.low, self.high, value))
        return (value - low) / (high - low)

    def ticks(self, most: int = 7) -> list[float]:
        """At most about `most` round numbers."""
        if self.log:
            decades = math.log10(self.high / self.low)
            if decades >= 1:
                return self._powers(decades, most)
        return self._even(most)

    def _powers(self, decades: float, most: int) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        digits = (1, 2, 5) if decades < 2 else (1, 3) if decades < 3 else (1,)
        stride = math.ceil(decades / most)
        exponents = range(first - first % stride, last + 1, stride)
        powers = [float(f"{digit}e{exponent}") for exponent in exponents for digit in digits]
        return [power for power in powers if self._holds(power)]

    def _even(self, most: int) -> list[float]:
        span = self.high - self.low
        power = 10.0 ** math.floor(math.log10(span / most))
        step = next(power * digit for digit in _STEPS if span / (power * digit) <= most)
        first = math.ceil(self.low / step - 1e-9)
        places = max(0, 1 - math.floor(math.log10(step)))
        numbers = [round((first + index) * step, places) for index in range(most + 2)]
        return [number for number in numbers if self._holds(number)]

    def _holds(self, number: float) -> bool:
        return (number > 0 or not self.log) and -1e-9 <= self.place(number) <= 1 + 1e-9


def axis_for(numbers: Sequence[float], log: bool, room: float = 0.04) -> Axis:
    """An axis that holds the numbers, with some room at both ends. It is logarithmic only if all are positive."""
    log = log and min(numbers) > 0
    low, high = (math.log10(end) if log else end for end in (min(numbers), max(numbers)))
    margin = room * (high - low) or max(abs(high) * 0.1, 0.1)
    low, high = low - margin, high + margin
    if not log and low < 0 <= min(numbers):
        low = 0.0  # what is never negative has no negative ticks
    return Axis(10**low, 10**high, True) if log else Axis(low, high, False)
