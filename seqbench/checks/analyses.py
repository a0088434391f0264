"""The contract of an analysis as checks. Each takes an analysis and its subject, and raises `AssertionError`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict

import torch

from seqbench.checks.subjects import SUBJECTS, Made, suited
from seqbench.contracts.analysis import Analysis, Subject


def check_what_it_finds(analysis: Analysis, subject: Subject) -> None:
    """Finite numbers, and figures whose lines have points."""
    outcome = analysis(subject)
    assert outcome.numbers, "no numbers come out"
    for name, value in outcome.numbers.items():
        is_number = isinstance(value, (int, float)) and math.isfinite(value)
        assert is_number, f"{name} is {value!r}, not a finite number"
    for name, figure in outcome.figures.items():
        assert figure.lines and all(figure.lines.values()), f"the figure {name} has a line without points"
        assert set(figure.log) <= {"x", "y"}, f"log of the figure {name} names axes, x and y, not {figure.log}"
        try:
            json.dumps(asdict(figure), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise AssertionError(f"the figure {name} cannot be kept in a record: {error}") from error
    for name, graph in outcome.graphs.items():
        ends = [
            graph.start,
            *graph.accepting,
            *(state for before, after, _ in graph.edges for state in (before, after)),
        ]
        assert all(state in range(graph.n_states) for state in ends), f"the graph {name} names a state that it has not"
    for name, text in outcome.texts.items():
        assert isinstance(text, str), f"the text {name} is no text: {text!r}"


def check_it_repeats(analysis: Analysis, subject: Subject) -> None:
    """It comes to the same a second time."""
    first = analysis(subject)
    torch.rand(3)  # which it must not depend on
    assert analysis(subject) == first, "a second analysis comes to something else"


def check_it_changes_nothing(analysis: Analysis, subject: Subject) -> None:
    """The learner's weights, and its mode, are afterwards as they were."""
    before = {name: value.clone() for name, value in subject.learner.state_dict().items()}
    analysis(subject)
    for name, value in subject.learner.state_dict().items():
        assert torch.equal(value, before[name]), f"the analysis has changed {name}"
    assert not subject.learner.training, "the analysis leaves the learner in training mode"


def checks(
    make: Callable[[], Analysis], subjects: Iterable[Callable[[], Made]] = SUBJECTS
) -> dict[str, Callable[[], None]]:
    """All of the contract by name, on the first subject that the analysis is for."""

    def subject_of(made: Made) -> Subject:
        return Subject(made.task, made.learner, 0, made.trajectory)

    def on(check: Callable[[Analysis, Subject], None]) -> Callable[[], None]:
        return lambda: check(make(), subject_of(suited(lambda made: make()(subject_of(made)), subjects)))

    return {
        "numbers and figures": on(check_what_it_finds),
        "the same again": on(check_it_repeats),
        "weights": on(check_it_changes_nothing),
    }


def check_analysis(analysis: Analysis, subject: Subject) -> None:
    """All of the contract, on a subject of one's own."""
    for check in (check_what_it_finds, check_it_repeats, check_it_changes_nothing):
        check(analysis, subject)
