"""The contract of an evaluation as checks. Each takes an evaluation and what it is tried on, and raises
`AssertionError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch

from seqbench.checks.subjects import SUBJECTS, Made, suited
from seqbench.contracts.batch import Batch
from seqbench.contracts.evaluation import Evaluation
from seqbench.contracts.learner import Learner
from seqbench.contracts.task import SPLITS, Task

Batches = Callable[[], Iterable[Batch]]


def check_what_it_says(evaluation: Evaluation) -> None:
    """It says what kind it is, and which splits it is for."""
    for name in ("category", "context", "memory"):
        value = getattr(evaluation, name, None)
        assert isinstance(value, str), f"the evaluation does not state its {name}"
    assert evaluation.splits and set(evaluation.splits) <= set(SPLITS), f"{evaluation.splits} are not all splits"


def check_sums(evaluation: Evaluation, task: Task, learner: Learner, batches: Batches) -> None:
    """It sums finite numbers over numbers of targets, and its metrics have the one that selects."""
    sums = evaluation(task, learner, batches()).sums
    assert sums, "no sums come out"
    for name, (total, count) in sums.items():
        assert math.isfinite(total), f"the sum of {name} is {total}"
        assert isinstance(count, int) and count >= 0, f"the sum of {name} is over {count!r} targets"
    metrics = evaluation.metrics(task, sums)
    assert task.selection in metrics, f"the metrics lack {task.selection}, which selects"
    for name, value in metrics.items():
        assert isinstance(value, (int, float)), f"the metric {name} is no number: {value!r}"


def check_it_repeats(evaluation: Evaluation, task: Task, learner: Learner, batches: Batches) -> None:
    """It comes to the same a second time."""
    first = evaluation(task, learner, batches())
    torch.rand(3)  # which it must not depend on
    assert evaluation(task, learner, batches()).sums == first.sums, "a second evaluation comes to something else"


def check_it_changes_nothing(evaluation: Evaluation, task: Task, learner: Learner, batches: Batches) -> None:
    """The learner's weights, and its mode, are afterwards as they were."""
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    evaluation(task, learner, batches())
    for name, value in learner.state_dict().items():
        assert torch.equal(value, before[name]), f"evaluating has changed {name}"
    assert not learner.training, "the evaluation leaves the learner in training mode"


def check_without_batches(evaluation: Evaluation, task: Task, learner: Learner, batches: Batches) -> None:
    """It names the same sums in a process that has no batch, so that processes can add them up."""
    names = evaluation(task, learner, batches()).sums
    nothing = evaluation(task, learner, iter(())).sums
    assert nothing == dict.fromkeys(names, (0.0, 0)), "without a batch the sums are not the same names with zeros"


def checks(
    make: Callable[[], Evaluation], subjects: Iterable[Callable[[], Made]] = SUBJECTS
) -> dict[str, Callable[[], None]]:
    """All of the contract by name, on the first subject that the evaluation is for."""

    def batches_of(subject: Made, evaluation: Evaluation) -> Iterable[Batch]:
        return subject.batches("valid" if "valid" in evaluation.splits else next(iter(evaluation.splits)))

    def attempt(subject: Made) -> None:
        make()(subject.task, subject.learner, batches_of(subject, make()))

    def on(check: Callable[[Evaluation, Task, Learner, Batches], None]) -> Callable[[], None]:
        def run() -> None:
            evaluation, subject = make(), suited(attempt, subjects)
            check(evaluation, subject.task, subject.learner, lambda: batches_of(subject, evaluation))

        return run

    return {
        "what it says of itself": lambda: check_what_it_says(make()),
        "sums": on(check_sums),
        "the same again": on(check_it_repeats),
        "weights": on(check_it_changes_nothing),
        "a process without batches": on(check_without_batches),
    }


def check_evaluation(evaluation: Evaluation, task: Task, learner: Learner, batches: Batches) -> None:
    """All of the contract, on a task and a learner of one's own."""
    learner.eval()
    check_what_it_says(evaluation)
    for check in (check_sums, check_it_repeats, check_it_changes_nothing, check_without_batches):
        check(evaluation, task, learner, batches)
