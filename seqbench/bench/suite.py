"""What a benchmark is: contestants that do the same work at some shapes, timed in turns and weighed apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Shape = dict[str, int]


@dataclass(frozen=True)
class Contestant:
    """`build(**shape)` makes a step: a function that does the work once. `tokens` says whether its work is that of a
    whole training step (a floor's is not)."""

    name: str
    build: Callable[..., Callable[[], None]]
    trains: bool = True


@dataclass(frozen=True)
class Suite:
    """`ours` and `peers` name contestants: the table gives the ratio of each to `ours`. `n_tokens(**shape)` are the
    tokens of one step."""

    name: str
    title: str
    note: str
    ours: str
    contestants: list[Contestant]
    shapes: list[Shape]
    n_tokens: Callable[..., int]
    smaller: Shape = field(default_factory=lambda: {"T": 2})  # a shape's sizes changed so that a step costs little
