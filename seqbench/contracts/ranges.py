"""Ranges of arguments, said where the argument is: `hidden_size: Annotated[int, AtLeast(1)]`, or `Count` for short.

The check of a config reads them (config/values.py), so a constructor need not repeat one. That a number is finite is
asked of every setting and needs no marker. What relates two arguments is the constructor's own check. Nothing here
imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True)
class Range:
    """What a value may be: `allows` decides, `text` says it, as the rest of a sentence."""

    def allows(self, value: Any) -> bool:
        raise NotImplementedError

    @property
    def text(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True)
class AtLeast(Range):
    least: float

    def allows(self, value: Any) -> bool:
        return value >= self.least

    @property
    def text(self) -> str:
        return f"is at least {self.least:,}"


@dataclass(frozen=True)
class Above(Range):
    bound: float

    def allows(self, value: Any) -> bool:
        return value > self.bound

    @property
    def text(self) -> str:
        return "is positive" if self.bound == 0 else f"is above {self.bound:,}"


@dataclass(frozen=True)
class Between(Range):
    """From `low` to `high`, both among them unless `without_low` or `without_high`."""

    low: float
    high: float
    without_low: bool = False
    without_high: bool = False

    def allows(self, value: Any) -> bool:
        above = value > self.low if self.without_low else value >= self.low
        return above and (value < self.high if self.without_high else value <= self.high)

    @property
    def text(self) -> str:
        if not self.without_low and not self.without_high:
            return f"is between {self.low:,} and {self.high:,}"
        lower = f"above {self.low:,}" if self.without_low else f"at least {self.low:,}"
        upper = f"below {self.high:,}" if self.without_high else f"at most {self.high:,}"
        return f"is {lower} and {upper}"


@dataclass(frozen=True, init=False)
class OneOf(Range):
    choices: tuple[str, ...]

    def __init__(self, *choices: str):
        object.__setattr__(self, "choices", choices)

    def allows(self, value: Any) -> bool:
        return value in self.choices

    @property
    def text(self) -> str:
        return f"is one of {', '.join(self.choices)}"


Count = Annotated[int, AtLeast(1)]
NotNegativeInt = Annotated[int, AtLeast(0)]
NotNegative = Annotated[float, AtLeast(0)]
Positive = Annotated[float, Above(0)]
Dropout = Annotated[float, Between(0, 1, without_high=True)]
Share = Annotated[float, Between(0, 1)]
PartShare = Annotated[float, Between(0, 1, without_low=True, without_high=True)]  # of what is cut into several parts
Backend = Annotated[str, OneOf("auto", "reference", "native")]  # native: compiled
