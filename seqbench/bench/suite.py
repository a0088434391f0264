"""What a benchmark is: contestants that do the same work at some shapes, timed in alternation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Shape = dict[str, int]


@dataclass(frozen=True)
class Contestant:
    """`build(**shape)` makes a step: a function that does the work once. `trains` is false where that is less than a
    whole training step, as a floor's is. `state_mib(step)` is the memory that a step keeps for the next one."""

    name: str
    build: Callable[..., Callable[[], None]]
    trains: bool = True
    state_mib: Callable[[Callable[[], None]], float] | None = None


@dataclass(frozen=True)
class Suite:
    """`ours` names the contestant that the others are compared with. `n_tokens(**shape)` is how many tokens one step
    processes, or how many of whatever `counts` names."""

    name: str
    title: str
    note: str
    ours: str
    contestants: list[Contestant]
    shapes: list[Shape]
    n_tokens: Callable[..., int]
    counts: str = "tokens"
    smaller: Shape = field(default_factory=lambda: {"T": 2})  # a shape's sizes changed so that a step costs little
