"""The contract of an analysis as a check. It raises `AssertionError`."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import torch

from seqbench.contracts.analysis import Analysis, Subject


def check_analysis(analysis: Analysis, subject: Subject) -> None:
    """It gives finite numbers and lines that have points, comes to the same a second time, and leaves the learner as it
    was."""
    before = {name: value.clone() for name, value in subject.learner.state_dict().items()}
    first = analysis(subject)
    torch.rand(3)  # which it must not depend on
    second = analysis(subject)
    assert first.numbers, "no numbers come out"
    for name, value in first.numbers.items():
        assert isinstance(value, (int, float)) and math.isfinite(value), f"{name} is {value!r}, not a finite number"
    for name, figure in first.figures.items():
        assert figure.lines and all(figure.lines.values()), f"the figure {name} has a line without points"
        json.dumps(asdict(figure), allow_nan=False)
    assert first == second, "a second analysis comes to something else"
    for name, value in subject.learner.state_dict().items():
        assert torch.equal(value, before[name]), f"the analysis has changed {name}"
    assert not subject.learner.training, "the analysis leaves the learner in training mode"
