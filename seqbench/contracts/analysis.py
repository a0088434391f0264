"""The contract of an analysis: what is asked of a finished run beyond a score."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from torch import Tensor

from seqbench.contracts.learner import Learner
from seqbench.contracts.task import Task

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Subject:
    """A finished run as an analysis sees it.

    - learner: with the selected weights, in evaluation mode, on its device.
    - seed: the run's, from which whatever an analysis draws is seeded.
    - trajectory: gives (step, weights) of every checkpoint, in order; more than the last ones where the run was
      trained with checkpoint.keep=all.
    """

    task: Task
    learner: Learner
    seed: int
    trajectory: Callable[[], Iterator[tuple[int, Weights]]]


@dataclass(frozen=True)
class Figure:
    """Lines to be drawn: label -> (x, y) points. `log` names the axes, "x" or "y", that are logarithmic."""

    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]
    log: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """States 0, 1, ..., n_states - 1 and the edges (state, state, label) between them, to be drawn as an automaton:
    accepting states have two circles."""

    n_states: int
    start: int
    accepting: list[int]
    edges: list[tuple[int, int, str]]


@dataclass(frozen=True)
class Outcome:
    """What an analysis has to tell: `numbers`, of which a table may show any, `figures` and `graphs` by name, and
    `texts` by a file's name, which are written into the run's folder."""

    numbers: dict[str, float]
    figures: dict[str, Figure] = field(default_factory=dict)
    graphs: dict[str, Graph] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


class Analysis:
    """Asks something of a finished run. The same run and settings give the same outcome, and the learner's weights are
    afterwards as they were. An analysis of how a run came to its weights sets `needs_trajectory`.

    Raises `UserError` for a run that it is not for.
    """

    needs_trajectory: bool = False

    def __call__(self, subject: Subject) -> Outcome:
        raise NotImplementedError
