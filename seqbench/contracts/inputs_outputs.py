"""What a task tells the network about its data; never written in a config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["classes", "reals", "densities", "bits", "none"]


@dataclass(frozen=True)
class Inputs:
    """What the network reads at each position: one of `n_tokens` tokens, or `n_features` real numbers. Exactly one of
    the two is given."""

    n_tokens: int | None = None
    n_features: int | None = None

    def __post_init__(self) -> None:
        if (self.n_tokens is None) == (self.n_features is None):
            raise ValueError("inputs are tokens or real numbers: exactly one of n_tokens and n_features is given")


@dataclass(frozen=True)
class Outputs:
    """What the network says, at each step or once a sequence: one of `size` classes, `size` real numbers, a density
    of them, `size` bits (whose targets may be probabilities of a bit, as the greys of an image are), or none."""

    kind: Kind
    size: int = 0
    per: Literal["step", "sequence"] = "step"
