"""How far apart the weights are: the share of them that is larger than a bound."""

from __future__ import annotations

import torch

from seqbench.contracts.analysis import Analysis, Figure, Outcome, Subject


class Spread(Analysis):
    """`share` of the weights whose size is above `bound`, and the same for bounds from 0 to 1."""

    def __init__(self, bound: float = 0.5):
        self.bound = bound

    def __call__(self, subject: Subject) -> Outcome:
        sizes = torch.cat([value.detach().abs().flatten() for value in subject.learner.parameters()])
        points = [(n / 10, float((sizes > n / 10).double().mean())) for n in range(11)]
        share = float((sizes > self.bound).double().mean())
        return Outcome({"share": share}, {"sizes": Figure("bound", "share above it", {"all": points})})
