"""What a benchmark is: contestants that do the same work at some shapes, timed in turns and weighed apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

Shape = dict[str, int]


@dataclass(frozen=True)
class Contestant:
    """`build(**shape)` makes a step: a function that does the work once. `trains` says whether its work is that of a
    whole training step (a floor's is not). `kept` says how many MiB such a step keeps for the next one."""

    name: str
    build: Callable[..., Callable[[], None]]
    trains: bool = True
    kept: Callable[[Callable[[], None]], float] | None = None


@dataclass(frozen=True)
class Suite:
    """`ours` names a contestant: the table gives the ratio of each to it. `n_tokens(**shape)` are the tokens of one
    step, or whatever else `counts` names."""

    name: str
    title: str
    note: str
    ours: str
    contestants: list[Contestant]
    shapes: list[Shape]
    n_tokens: Callable[..., int]
    counts: str = "tokens"
    smaller: Shape = field(default_factory=lambda: {"T": 2})  # a shape's sizes changed so that a step costs little
