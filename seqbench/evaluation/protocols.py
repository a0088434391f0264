"""What an evaluation may need of a task beside its batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from seqbench.contracts.batch import Batch
from seqbench.contracts.task import Task
from seqbench.errors import UserError


@runtime_checkable
class Stream(Protocol):
    """A task whose split is one continuous text."""

    def windows(self, split: str, batch_size: int, bptt: int) -> Iterator[Batch]:
        """One pass over a split in rows and windows of other sizes than the task's own."""
        ...


@runtime_checkable
class Vocabulary(Protocol):
    """A task that counts its tokens."""

    def token_counts(self) -> np.ndarray:
        """How often each type occurs in the training split: (V,) int64."""
        ...


@runtime_checkable
class Spelled(Protocol):
    """A task whose tokens spell a text, so that its loss can be divided by more than tokens."""

    def text_metrics(self, split: str, nll: float) -> dict[str, float]:
        """The metrics by characters and by words of a split whose tokens have a mean loss of `nll` nats."""
        ...


@runtime_checkable
class Sentences(Protocol):
    """A task whose pairs are sentences to be translated."""

    tokenized: bool

    def sentences(self, rows: Iterable[int], side: str) -> list[str]:
        """The lines of pairs of valid or test, by the pairs' numbers."""
        ...

    def detokenize(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """The text of lists of target ids, a line each."""
        ...


Needed = TypeVar("Needed")


def require(task: Task, protocol: type[Needed], evaluation: str, purpose: str) -> Needed:
    """The task, if it is of the protocol that an evaluation needs; `purpose` names the kind of task that is. Raises
    `UserError`."""
    needed: Any = task
    if not isinstance(needed, protocol):
        raise UserError(f"evaluation={evaluation} is for {purpose}, not for the task {task.version['name']}.")
    return needed
