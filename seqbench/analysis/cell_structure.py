"""Which cells a network with a searched structure makes, step by step (Qian, Kennedy, Klabjan 2019, arXiv 1905.10540).

The network reads sequences of the test split from a blank state. At each step its backbone says which candidate has the
best score at each node, and what expression these make; what is computed is a mixture, so the expression is what it
leans to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from seqbench.contracts.analysis import Analysis, Outcome, Subject
from seqbench.contracts.pytree import State
from seqbench.contracts.ranges import Count
from seqbench.contracts.task import Task
from seqbench.errors import UserError
from seqbench.learners.network import Network
from seqbench.models.cells.structure.candidates import Chosen

EXPLANATION = """\
[a + b]k is a L_k + b R_k + b_k, [a * b]k is (a L_k) * (b R_k) + b_k; a function stands before its bracket, "1-" for
1 - [...]. x is the input, h what came out at the step before. In the tree of a GRU z = sigmoid[x + h]0 and
r = sigmoid[x + h]1."""


@runtime_checkable
class Structured(Protocol):
    """A backbone that chooses its cell at each step."""

    def structure(self, x: Tensor, state: State = None) -> list[list[Chosen]]:
        """For each row, and each step of it, what was chosen."""
        ...


@runtime_checkable
class Spelling(Protocol):
    """A task whose tokens have names."""

    @property
    def vocabulary(self) -> Sequence[str]:
        """The tokens by id."""
        ...


class CellStructure(Analysis):
    """The cells of the first `n_sequences` sequences of the test split, of their first `n_steps` steps.

    - n_printed: of them, whose expressions the text has step by step.

    Numbers: `<question>.<answer>`, the share of the times that a question came up on which the answer was chosen; of a
    merged search a question is a node, which comes up once a step. `expressions`: how many came up; `most_common`: the
    share of steps on which the most frequent one did. `steps` were looked at.
    """

    def __init__(self, n_sequences: Count = 50, n_steps: Count = 100, n_printed: Count = 3):
        self.n_sequences, self.n_steps, self.n_printed = n_sequences, n_steps, n_printed

    def __call__(self, subject: Subject) -> Outcome:
        network = subject.learner
        if not isinstance(network, Network) or not isinstance(network.backbone, Structured):
            raise UserError("analysis=cell_structure is for a model that chooses its cell at each step: cell_search.")
        device = next(network.parameters()).device
        inputs = _sequences(subject.task, self.n_sequences, self.n_steps)
        with torch.no_grad():
            rows = [network.backbone.structure(network.embedded(x[None].to(device)))[0] for x in inputs]
        expressions = Counter(step.expression for row in rows for step in row)
        choices = Counter(choice for row in rows for step in row for choice in step.choices)
        asked = Counter(question for question, _ in choices.elements())
        numbers = {f"{question}.{answer}": n / asked[question] for (question, answer), n in sorted(choices.items())}
        n_steps = expressions.total()
        numbers |= {
            "expressions": float(len(expressions)),
            "most_common": expressions.most_common(1)[0][1] / n_steps,
            "steps": float(n_steps),
        }
        printed = [*zip(inputs, rows, strict=True)][: self.n_printed]
        parts = [EXPLANATION, _frequent(expressions, n_steps), _shares(choices, asked)]
        parts += [_step_by_step(x, row, index, subject.task) for index, (x, row) in enumerate(printed)]
        return Outcome(numbers, texts={"cells": "\n\n".join(parts) + "\n"})


def _sequences(task: Task, n_sequences: int, n_steps: int) -> list[Tensor]:
    """The first rows of the test split without their padding, cut to `n_steps`."""
    sequences: list[Tensor] = []
    for index in range(task.n_batches("test")):
        batch = task.batch("test", index)
        for row, x in enumerate(batch.inputs):
            length = len(x) if batch.inputs_valid_BT is None else int(batch.inputs_valid_BT[row].sum())
            sequences.append(x[: min(length, n_steps)])
        if len(sequences) >= n_sequences:
            break
    return sequences[:n_sequences]


def _frequent(expressions: Counter[str], n_steps: int, n_shown: int = 10) -> str:
    lines = [f"{n / n_steps:7.2%}  {expression}" for expression, n in expressions.most_common(n_shown)]
    return "\n".join([f"Share of {n_steps:,} steps, of {len(expressions):,} expressions:", *lines])


def _shares(choices: Counter[tuple[str, str]], asked: Counter[str]) -> str:
    lines = [f"{n / asked[question]:7.2%}  {question}: {answer}" for (question, answer), n in sorted(choices.items())]
    return "\n".join(["Share of each choice:", *lines])


def _step_by_step(x: Tensor, row: list[Chosen], index: int, task: Task) -> str:
    lines = [f"{_name(symbol, task):>12}  {step.expression}" for symbol, step in zip(x, row, strict=True)]
    return "\n".join([f"Sequence {index}, input and cell of each step:", *lines])


def _name(symbol: Tensor, task: Task) -> str:
    """A token by its name or its id, and the first of several numbers."""
    if not symbol.is_floating_point():
        token = int(symbol)
        return repr(task.vocabulary[token]) if isinstance(task, Spelling) else str(token)
    numbers = symbol.flatten()
    return f"{float(numbers[0]):.3g}" + (" ..." if len(numbers) > 1 else "")
